"""K-FAC for Chainer: a reproduction of a 2018 study of large-batch training."""
from chainer_kfac import compat  # noqa: F401  (first: Chainer does not import without it)

__version__ = '0.1.0.dev0'
