"""The paper's networks, as values; their parameters are counted in the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.networks.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Residual,
    Shape,
)
from lca_core.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MNIST: Shape = (28, 28, 1)
CIFAR: Shape = (32, 32, 3)
RELU = Activation("relu")


def fc(
    inputs: Shape = MNIST, classes: int = 10, *, hidden: Sequence[int] = (100, 50)
) -> NetworkSpec:
    """Return a fully connected ReLU network; 84,060 parameters on MNIST.

    Args:
        inputs: shape of one example.
        classes: number of outputs.
        hidden: widths of the hidden layers.

    Example:
        >>> from lca_core.networks import fc
        >>> fc().parameters
        84060

    Source: LCA paper, section 3.
    """
    layers: list[Layer] = [Flatten()]
    for units in hidden:
        layers += [Dense(units), RELU]
    return NetworkSpec("fc", inputs, [*layers, Dense(classes)])


def lenet(inputs: Shape = MNIST, classes: int = 10, *, dropout: bool = True) -> NetworkSpec:
    """Return the paper's "slightly modified" LeNet; 808,970 parameters on MNIST.

    Args:
        inputs: shape of one image.
        classes: number of outputs.
        dropout: with the two dropout layers, or without.

    Example:
        >>> from lca_core.networks import lenet
        >>> lenet().parameters
        808970

    Source: LCA paper, section 3; LeCun et al. (1998).
    """
    layers: list[Layer] = [
        Conv2D(20, 5), RELU, MaxPool(2),
        Conv2D(40, 5), RELU, MaxPool(2),
        Flatten(), Dropout(0.25),
        Dense(400), RELU, Dropout(0.5),
        Dense(classes),
    ]  # fmt: skip
    return NetworkSpec("lenet", inputs, _kept(layers, dropout=dropout))


def allcnn(inputs: Shape = CIFAR, classes: int = 10, *, dropout: bool = True) -> NetworkSpec:
    """Return the all-convolutional network with batch norm; 1,371,658 parameters on CIFAR-10.

    Args:
        inputs: shape of one image.
        classes: number of outputs.
        dropout: with the two dropout layers, or without.

    Example:
        >>> from lca_core.networks import allcnn
        >>> allcnn().parameters
        1371658

    Source: LCA paper, section 3; Springenberg et al. (2015).
    """

    def normed(filters: int, size: int = 3) -> list[Layer]:
        return [Conv2D(filters, size), BatchNorm(), RELU]

    layers: list[Layer] = [
        *normed(96), *normed(96), Conv2D(96, 3, stride=2), Dropout(0.5),
        *normed(192), *normed(192), Conv2D(192, 3, stride=2), Dropout(0.5),
        *normed(192), *normed(192, 1), Conv2D(classes, 1),
        GlobalAveragePool(),
    ]  # fmt: skip
    return NetworkSpec("allcnn", inputs, _kept(layers, dropout=dropout))


def resnet(
    inputs: Shape = CIFAR,
    classes: int = 10,
    *,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int = 3,
) -> NetworkSpec:
    """Return a residual network of 2·len(widths)·blocks + 2 layers.

    The first block of every stage but the first halves the image; its shortcut is a 1 x 1
    convolution with bias, without batch norm.

    Args:
        inputs: shape of one image.
        classes: number of outputs.
        widths: channels of every stage.
        blocks: residual blocks a stage.

    Example:
        >>> from lca_core.networks import resnet
        >>> resnet((8, 8, 1), widths=(4, 8), blocks=1).output
        (10,)

    Source: LCA paper, section 3; He et al. (2016).
    """
    layers: list[Layer] = [Conv2D(widths[0]), BatchNorm(), RELU]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            body: list[Layer] = [
                Conv2D(width, 3, stride),
                BatchNorm(),
                RELU,
                Conv2D(width),
                BatchNorm(),
            ]
            shortcut: list[Layer] = [Conv2D(width, 1, stride)] if stride > 1 else []
            layers += [Residual(body, shortcut), RELU]
    return NetworkSpec("resnet", inputs, [*layers, GlobalAveragePool(), Dense(classes)])


def resnet20(inputs: Shape = CIFAR, classes: int = 10) -> NetworkSpec:
    """Return ResNet-20; 273,066 parameters on CIFAR-10.

    Args:
        inputs: shape of one image.
        classes: number of outputs.

    Example:
        >>> from lca_core.networks import resnet20
        >>> resnet20().parameters
        273066

    Source: LCA paper, section 3; He et al. (2016).
    """
    return resnet(inputs, classes)


NETWORKS: Mapping[str, Callable[[Shape, int], NetworkSpec]] = {
    "fc": fc,
    "lenet": lenet,
    "allcnn": allcnn,
    "resnet20": resnet20,
}
"""Name -> function of (shape of one example, number of classes)."""


def _kept(layers: Sequence[Layer], *, dropout: bool) -> list[Layer]:
    return [layer for layer in layers if dropout or not isinstance(layer, Dropout)]
