"""K-FAC for Chainer: a reproduction of a 2018 study of large-batch training.

``import chainer_kfac`` makes ``import chainer`` work on today's Python and NumPy; the rooms
(``chainer_kfac.optimizers``, ``chainer_kfac.datasets``, ...) are imported when first named.
"""
import importlib
import os

# NumPy's BLAS reads this when it is imported. By default its idle threads keep polling for a tenth
# of a second and take half a core from whatever runs next (docs/performance.md has the figures);
# 2**4 clock ticks send them to sleep at once, and waking them costs no measurable time.
os.environ.setdefault('OPENBLAS_THREAD_TIMEOUT', '4')

from chainer_kfac import compat  # noqa: E402  (first: Chainer does not import without it)

__version__ = '0.1.0.dev0'

_ROOMS = ('analysis', 'communicators', 'datasets', 'exceptions', 'fisher', 'functions', 'jobs',
          'linalg', 'models', 'optimizers', 'search', 'sweeps', 'training')

__all__ = ['__version__', 'compat', 'create_communicator', *_ROOMS]


def __getattr__(name):
    if name == 'create_communicator':
        from chainer_kfac.communicators import create_communicator
        return create_communicator
    if name in _ROOMS:
        return importlib.import_module('chainer_kfac.' + name)
    raise AttributeError('module {!r} has no attribute {!r}'.format(__name__, name))


def __dir__():
    return sorted({*globals(), *__all__})
