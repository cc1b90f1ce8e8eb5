"""K-FAC for Chainer: a reproduction of a 2018 study of large-batch training.

``import chainer_kfac`` makes ``import chainer`` work on today's Python and NumPy; the rooms
(``chainer_kfac.optimizers``, ``chainer_kfac.datasets``, ...) are imported when first named.
"""
import importlib

from chainer_kfac import compat  # first: Chainer does not import without it

__version__ = '0.1.0.dev0'

_ROOMS = ('analysis', 'communicators', 'datasets', 'exceptions', 'fisher', 'functions', 'jobs',
          'linalg', 'models', 'optimizers', 'search', 'sweeps', 'training')

__all__ = ['__version__', 'compat', *_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module('chainer_kfac.' + name)
    raise AttributeError('module {!r} has no attribute {!r}'.format(__name__, name))


def __dir__():
    return sorted({*globals(), *_ROOMS})
