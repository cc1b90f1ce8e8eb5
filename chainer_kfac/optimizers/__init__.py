"""Optimizers: K-FAC, and the exact natural gradient that it is measured against."""
from chainer_kfac.optimizers.distributed import DistributedKFAC  # noqa: F401
from chainer_kfac.optimizers.kfac import KFAC  # noqa: F401
from chainer_kfac.optimizers.natural_gradient import (  # noqa: F401
    fisher_matrix,
    natural_gradient,
)
