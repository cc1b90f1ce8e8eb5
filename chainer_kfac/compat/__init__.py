"""Chainer 7.8.1 and ChainerMN on today's Python, NumPy and CuPy.

Chainer's last release is from January 2022. Importing this package makes ``import chainer``
work: each patch puts back one thing that Chainer relies on and that is missing, once, and says
why (``python -m chainer_kfac.compat.audit`` lists them). An old stack on which Chainer works
stays as it is.

Patches are applied when the module that needs them is imported. ``import chainer_kfac`` by
itself imports neither NumPy nor Chainer.
"""
from chainer_kfac.compat import caffe, numpy2, onnx_mapping, packaging, repairs
from chainer_kfac.compat.optional import require
from chainer_kfac.compat.patches import Patch, PatchSet

__all__ = ['applied', 'install', 'require']

_PATCHES = PatchSet([*numpy2.patches('chainer'), *packaging.patches(), *repairs.patches(),
                      *caffe.patches(), *onnx_mapping.patches()])


def install():
    """Install the patches; a second call changes nothing. Returns the import hook."""
    return _PATCHES.install()


def applied() -> list[Patch]:
    """The patches that have changed something so far, in order of application."""
    return _PATCHES.applied


install()
