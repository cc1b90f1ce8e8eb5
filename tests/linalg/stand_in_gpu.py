"""cuSOLVER and cuBLAS as documented, on host memory: argument order, column-major, statuses.

It lets a machine without a GPU check that the calls of `chainer_kfac.linalg.gpu` mean what they
should. Matrices are addresses, as the real libraries take them.
"""
import ctypes
import types

import numpy as np
from scipy.linalg import solve_triangular

UPPER, LOWER, LEFT, RIGHT, N, T, NON_UNIT = 1, 0, 0, 1, 0, 1, 0


class DeviceArray(np.ndarray):
    """A NumPy array whose ``data.ptr`` is its address."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.ctypes.data)


def column_major(address, rows, columns, leading, dtype):
    """The matrix at an address, as a view that can be written to."""
    kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    flat = np.ctypeslib.as_array(ctypes.cast(int(address), ctypes.POINTER(kind)),
                                 (leading * (columns - 1) + rows,))
    step = flat.itemsize
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (step, leading * step))


def addresses(pointer, count):
    return np.ctypeslib.as_array(
        ctypes.cast(int(pointer), ctypes.POINTER(ctypes.c_uint64)), (count,))


def integers(pointer, count):
    return np.ctypeslib.as_array(
        ctypes.cast(int(pointer), ctypes.POINTER(ctypes.c_int32)), (count,))


def potrf(dtype):
    def call(handle, uplo, n, A, lda, scratch, size, info):
        assert handle == 'solver'
        assert size == 17
        integers(info, 1)[0] = _factorise(column_major(A, n, n, lda, dtype), uplo)

    return call


def potrf_batched(dtype):
    def call(handle, uplo, n, As, lda, infos, batch):
        assert handle == 'solver'
        for i, A in enumerate(addresses(As, batch)):
            integers(infos, batch)[i] = _factorise(column_major(A, n, n, lda, dtype), uplo)

    return call


def _factorise(A, uplo):
    """Overwrite one triangle; the other must stay as it was. NaN passes, as in cuSOLVER."""
    assert uplo == UPPER
    n = len(A)
    whole = np.triu(A) + np.triu(A, 1).T
    lower = np.zeros_like(whole)
    for j in range(n):
        pivot = whole[j, j] - lower[j, :j] @ lower[j, :j]
        if pivot <= 0:
            return j + 1
        lower[j, j] = pivot ** 0.5
        lower[j + 1:, j] = (whole[j + 1:, j] - lower[j + 1:, :j] @ lower[j, :j]) / lower[j, j]
    A[np.triu_indices(n)] = lower.T[np.triu_indices(n)]
    return 0


def trsm(dtype):
    def call(handle, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb):
        assert handle == 'blas'
        assert diag == NON_UNIT
        one = ctypes.cast(alpha, ctypes.POINTER(
            ctypes.c_float if dtype == np.float32 else ctypes.c_double))[0]
        order = m if side == LEFT else n
        triangle = np.triu if uplo == UPPER else np.tril
        A = triangle(column_major(A, order, order, lda, dtype))
        B = column_major(B, m, n, ldb, dtype)
        lower = uplo == LOWER
        if not A.diagonal().all():      # left by a factorisation that failed; not tested for
            B[...] = np.nan
        elif side == LEFT:
            B[...] = solve_triangular(A, one * B, trans=trans, lower=lower, check_finite=False)
        else:
            B[...] = solve_triangular(
                A, one * B.T, trans=1 - trans, lower=lower, check_finite=False).T

    return call


def trsm_batched(dtype):
    one = trsm(dtype)

    def call(handle, side, uplo, trans, diag, m, n, alpha, As, lda, Bs, ldb, batch):
        for A, B in zip(addresses(As, batch), addresses(Bs, batch)):
            one(handle, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb)

    return call


def libraries():
    """Stand-ins by the names under which CuPy has them."""
    cublas = types.SimpleNamespace(
        CUBLAS_FILL_MODE_UPPER=UPPER, CUBLAS_SIDE_LEFT=LEFT, CUBLAS_SIDE_RIGHT=RIGHT,
        CUBLAS_OP_N=N, CUBLAS_OP_T=T, CUBLAS_DIAG_NON_UNIT=NON_UNIT)
    cusolver = types.SimpleNamespace()
    for letter, dtype in (('s', np.float32), ('d', np.float64)):
        setattr(cusolver, letter + 'potrf_bufferSize', lambda handle, uplo, n, A, lda: 17)
        setattr(cusolver, letter + 'potrf', potrf(dtype))
        setattr(cusolver, letter + 'potrfBatched', potrf_batched(dtype))
        setattr(cublas, letter + 'trsm', trsm(dtype))
        setattr(cublas, letter + 'trsmBatched', trsm_batched(dtype))
    return {'cupy_backends.cuda.libs.cublas': cublas,
            'cupy_backends.cuda.libs.cusolver': cusolver}


def cupy():
    """The few functions of CuPy that the calls use."""
    def array_function(name):
        return lambda *arguments, **options: getattr(np, name)(
            *arguments, **options).view(DeviceArray)

    names = ('empty', 'empty_like', 'eye', 'stack', 'arange', 'zeros')
    device = types.SimpleNamespace(get_cusolver_handle=lambda: 'solver',
                                   get_cublas_handle=lambda: 'blas')
    return types.SimpleNamespace(
        isfinite=np.isfinite, diagonal=np.diagonal,
        cuda=types.SimpleNamespace(device=device),
        **{name: array_function(name) for name in names})
