"""Inverses of symmetric matrices: this package's against cuSOLVER's potrf and potri themselves.

CuPy has no potri, so the reference calls the library that CuPy has loaded. Where it cannot be
found the reference is potrf and potrs against the identity, and the result says so.
"""
import ctypes
from pathlib import Path

import chainer
import numpy as np
from scipy.linalg import lapack

from benchmarks.clock import HostClock, cupy_clock
from chainer_kfac.compat import require
from chainer_kfac.linalg import cholesky_inverse, cholesky_inverses

CASES = ((4097, 1), (4096, 1), (1345, 1), (801, 2), (801, 1), (256, 8), (64, 16))
"""Width and number of matrices; the first five are those of LeNet5."""

TIMES = 10


def run(options: dict) -> dict:
    """Time all cases.

    Returns:
        dict: 'reference', and 'rows': of each 'n', 'count', 'ms', 'reference_ms', 'share' (of the
        reference's rate), 'gflops' (n^3 operations an inverse), 'error' (largest element of
        M M^-1 - I).
    """
    cases, times = (((64, 1), (32, 4)), 2) if options['dry_run'] else (CASES, TIMES)
    device = chainer.get_device(options['device'])
    device.use()
    clock = HostClock() if device.xp is np else cupy_clock()
    reference = Lapack() if device.xp is np else CuSolver()
    rows = []
    for n, count in cases:
        matrices = [device.send(positive_definite(n, seed)) for seed in range(count)]
        inverses = cholesky_inverses(matrices)
        error = max(float(abs(m @ inverse - device.xp.eye(n, dtype=m.dtype)).max())
                    for m, (inverse, _) in zip(matrices, inverses, strict=True))
        if not all(bool(ok) for _, ok in inverses) or not error < 1e-2:
            raise RuntimeError('the inverses of width {} are wrong by {}'.format(n, error))
        ours = _seconds(clock, lambda batch=matrices: cholesky_inverses(batch)
                        if len(batch) > 1 else cholesky_inverse(batch[0]), times)
        theirs = _seconds(clock, lambda batch=matrices: [reference(m) for m in batch], times)
        rows.append({'n': n, 'count': count, 'ms': 1e3 * ours, 'reference_ms': 1e3 * theirs,
                     'share': theirs / ours, 'gflops': count * n ** 3 / ours / 1e9,
                     'error': error})
    return {'reference': reference.name, 'rows': rows}


def positive_definite(n: int, seed: int) -> np.ndarray:
    """A well-conditioned symmetric matrix, float32, drawn from a seed."""
    rows = np.random.default_rng(seed).standard_normal((n, n), np.float32)
    return rows.T @ rows / np.float32(n) + np.eye(n, dtype=np.float32)


def _seconds(clock, work, times):
    work()
    clock.take()
    with clock.phase('work'):
        for _ in range(times):
            work()
    return clock.take()['work'] / times


class Lapack:
    """potrf and potri on a copy, on the host."""

    name = 'LAPACK potrf and potri'

    def __call__(self, matrix):
        factor, _ = lapack.spotrf(matrix, lower=1, clean=0)
        return lapack.spotri(factor, lower=1, overwrite_c=1)[0]


class CuSolver:
    """potrf and potri on a copy, on the device."""

    def __init__(self):
        self._cublas = require('cupy_backends.cuda.libs.cublas', 'the reference')
        self._cusolver = require('cupy_backends.cuda.libs.cusolver', 'the reference')
        self._cupy = require('cupy', 'the reference')
        # Loaded at the first use, and only then among the libraries of the process.
        self._handle = self._cupy.cuda.device.get_cusolver_handle()
        self._library = loaded_library('libcusolver.so')
        self.name = 'cuSOLVER potrf and {}'.format(
            'potri' if self._library else 'potrs against the identity')

    def __call__(self, matrix):
        cupy, n, upper = self._cupy, len(matrix), self._cublas.CUBLAS_FILL_MODE_UPPER
        factor = matrix.copy()
        info = cupy.empty((), np.int32)
        size = self._cusolver.spotrf_bufferSize(self._handle, upper, n, factor.data.ptr, n)
        work = cupy.empty(size, np.float32)
        self._cusolver.spotrf(self._handle, upper, n, factor.data.ptr, n, work.data.ptr, size,
                              info.data.ptr)
        if self._library is None:
            result = cupy.eye(n, dtype=np.float32)
            self._cusolver.spotrs(self._handle, upper, n, n, factor.data.ptr, n,
                                  result.data.ptr, n, info.data.ptr)
            return result
        # potrf's wrapper has just given the handle the current stream.
        handle, size = ctypes.c_void_p(self._handle), ctypes.c_int()
        where = ctypes.c_void_p(factor.data.ptr)
        self._check(self._library.cusolverDnSpotri_bufferSize(
            handle, upper, n, where, n, ctypes.byref(size)))
        work = cupy.empty(max(1, size.value), np.float32)
        self._check(self._library.cusolverDnSpotri(
            handle, upper, n, where, n, ctypes.c_void_p(work.data.ptr), size.value,
            ctypes.c_void_p(info.data.ptr)))
        return factor

    def _check(self, status):
        if status:
            raise RuntimeError('cuSOLVER returned status {}'.format(status))


def loaded_library(name: str) -> ctypes.CDLL | None:
    """A library that this process has loaded, by the beginning of its file's name."""
    for line in Path('/proc/self/maps').read_text(encoding='utf-8').splitlines():
        path = line.partition('/')[2]
        if path.rpartition('/')[2].startswith(name):
            return ctypes.CDLL('/' + path)
    return None
