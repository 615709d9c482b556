"""Data sets as numpy arrays: images in [0, 1] and labels, split into training and validation."""

from lca_core.datasets.digits import digits as digits
from lca_core.datasets.named import DATASETS as DATASETS
from lca_core.datasets.named import load_dataset as load_dataset
from lca_core.datasets.source import Source as Source
from lca_core.datasets.source import fingerprint as fingerprint
from lca_core.datasets.source import loaded as loaded
from lca_core.datasets.split import Dataset as Dataset
from lca_core.datasets.split import Split as Split
