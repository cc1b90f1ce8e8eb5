"""Kronecker-factored Fisher blocks: what they are made of and one for each type of link."""
from chainer_kfac.fisher.base import FisherBlock  # noqa: F401
from chainer_kfac.fisher.convolution_2d import Convolution2DBlock  # noqa: F401
from chainer_kfac.fisher.linear import LinearBlock  # noqa: F401
from chainer_kfac.fisher.registry import block_class, register, registered  # noqa: F401
