"""Chainer 7.8.1 and ChainerMN on today's Python, NumPy and CuPy.

Chainer's last release is from January 2022. Importing this package makes ``import chainer``
work: each patch puts back one thing that Chainer relies on and that is missing, once, and says
why (``docs/compat.md`` lists them). An old stack on which Chainer works stays as it is.

Patches are applied when the module that needs them is imported. ``import chainer_kfac`` by
itself imports neither NumPy nor Chainer.
"""
import sys

from chainer_kfac.compat import caffe, cupy14, numpy2, onnx_mapping, packaging, repairs
from chainer_kfac.compat.hooks import ImportHook
from chainer_kfac.compat.optional import remedy, require
from chainer_kfac.compat.patches import Patch, PatchSet

__all__ = ['applied', 'install', 'install_for_programs', 'known', 'remedy',
           'require']

_PATCHES = PatchSet([*numpy2.patches('chainer'), *packaging.patches(), *repairs.patches(),
                     *caffe.patches(), *onnx_mapping.patches(), *cupy14.patches()])
# A program may use numpy.float before it imports Chainer, in a module that never does.
_PROGRAM_PATCHES = PatchSet(numpy2.patches('numpy', after=True))


def install() -> ImportHook:
    """Install the patches; a second call changes nothing. Returns the import hook.

    What an import of Chainer that failed without them has left behind is removed: a notebook in
    which that has happened needs no restart.
    """
    for package in ('chainer', 'chainermn'):
        if package not in sys.modules:
            for name in [name for name in sys.modules if name.startswith(package + '.')]:
                del sys.modules[name]
    return _PATCHES.install()


def install_for_programs() -> ImportHook:
    """As ``install``, and NumPy gets its old names back as soon as it is imported.

    For processes whose program was written for NumPy 1: see ``python -m chainer_kfac.compat``.
    """
    _PATCHES.install()
    return _PROGRAM_PATCHES.install()


def known() -> list[Patch]:
    """Every patch, whether this stack needs it or not."""
    return _PATCHES.patches


def applied() -> list[Patch]:
    """The patches that have changed something so far, in order of application."""
    return _PROGRAM_PATCHES.applied + _PATCHES.applied


install()
