"""One computation on the library under test in float32, and on NumPy in float64.

Memory that is handed out is full of NaN, so that a result that leaves a place unwritten is found;
inputs are drawn anew in each run, from a seed that a failure names.
"""
import contextlib
import functools
import os
from unittest import mock

import chainer
import numpy as np

from chainer_kfac import functions


class Place:
    """Where a case computes: a device, a floating-point type, and a source of random numbers."""

    def __init__(self, name, dtype, seed):
        self.device = chainer.get_device(name)
        self.xp = self.device.xp
        self.dtype = np.dtype(dtype)
        self._random = np.random.default_rng(seed)
        self.seed = seed

    def normal(self, *shape):
        """Standard normal numbers, the same everywhere."""
        return self.send(self._random.standard_normal(shape))

    def integers(self, high, *shape, dtype=np.int32):
        return self.device.send(self._random.integers(0, high, shape).astype(dtype))

    def send(self, array):
        """A float array on the device, in the type of this place."""
        return self.device.send(np.asarray(array).astype(self.dtype))

    def poisoned(self, *shape):
        """An array to be written to."""
        return self.xp.full(shape, np.nan, self.dtype)

    def positive_definite(self, n):
        rows = self._random.standard_normal((2 * n, n))
        return self.send(rows.T @ rows / (2 * n) + 0.1 * np.eye(n))


def compare(case, xp, tolerance):
    """Run ``case(place)`` on ``xp`` and on NumPy, and compare the arrays that it returns.

    ``tolerance`` is relative to the largest element of each array; integers are equal.
    """
    seed = int.from_bytes(os.urandom(4), 'little')
    name = '@numpy' if xp is np else '@cupy:0'
    if xp is np:
        _run(case, Place(name, np.float32, seed), poison=contextlib.nullcontext)    # compiles
    found = _run(case, Place(name, np.float32, seed))
    wanted = _run(case, Place('@numpy', np.float64, seed), poison=contextlib.nullcontext)
    assert set(found) == set(wanted)
    for key, expected in wanted.items():
        actual = chainer.get_device('@numpy').send(found[key])
        assert actual.shape == expected.shape, key
        if expected.dtype.kind in 'iub':
            assert np.array_equal(actual, expected), (key, seed)
            continue
        assert actual.dtype in (np.float16, np.float32), key
        scale = max(abs(expected).max(initial=0.0), 1e-30)
        error = abs(actual.astype(np.float64) - expected).max(initial=0.0) / scale
        assert error <= tolerance, '{}: off by {:.2g} of the largest element, seed {}'.format(
            key, error, seed)


def _run(case, place, poison=None):
    np.random.seed(place.seed)
    fill = poison or functools.partial(poisoned_memory, place.xp)
    with chainer.using_device(place.device), fill(), \
            chainer.using_config('dtype', place.dtype), functions.using():
        return {key: array.array if isinstance(array, chainer.Variable) else array
                for key, array in case(place).items()}


@contextlib.contextmanager
def poisoned_memory(xp):
    """New memory is full of NaN within the block."""
    if xp is not np:
        with _poisoned_pool(xp):
            yield
        return

    def filled(make):
        def wrapper(*args, **kwargs):
            array = make(*args, **kwargs)
            if array.dtype.kind == 'f':
                array.fill(np.nan)
            return array
        return wrapper

    with mock.patch.object(np, 'empty', filled(np.empty)), \
            mock.patch.object(np, 'empty_like', filled(np.empty_like)):
        yield


@contextlib.contextmanager
def _poisoned_pool(cupy):
    pool = cupy.cuda.MemoryPool()

    def allocate(size):
        memory = pool.malloc(size)
        if size:
            memory.memset_async(0xff, size, cupy.cuda.get_current_stream())
        return memory

    with cupy.cuda.using_allocator(allocate):
        yield
