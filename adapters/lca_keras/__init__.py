"""Loss Change Allocation for Keras 3, on TensorFlow, PyTorch and JAX."""

from lca_keras.callback import LossChangeAllocation as LossChangeAllocation
from lca_keras.oracle import KerasOracle as KerasOracle
from lca_keras.tracking import track as track
