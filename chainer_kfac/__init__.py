"""K-FAC for Chainer: a reproduction of a 2018 study of large-batch training.

``import chainer_kfac`` makes ``import chainer`` work on today's Python and NumPy; the rooms
(``chainer_kfac.optimizers``, ``chainer_kfac.datasets``, ...) are imported when first named.
"""
import os

import lazy_loader

# NumPy's BLAS reads this when it is imported. By default its idle threads keep polling for a tenth
# of a second and take half a core from whatever runs next (docs/performance.md has the figures);
# 2**4 clock ticks send them to sleep at once, and waking them costs no measurable time.
os.environ.setdefault('OPENBLAS_THREAD_TIMEOUT', '4')

from chainer_kfac import compat  # noqa: E402, F401  (first: Chainer does not import without it)

__version__ = '0.1.0.dev0'

_ROOMS = ['analysis', 'communicators', 'datasets', 'exceptions', 'fisher', 'functions', 'jobs',
          'linalg', 'models', 'optimizers', 'search', 'sweeps', 'training']

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ['compat', *_ROOMS], {'communicators': ['create_communicator']})
