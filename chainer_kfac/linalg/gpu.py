"""cuSOLVER and cuBLAS calls behind this package's functions, all on the current stream.

cuSOLVER is column-major: it sees a C-contiguous array as its transpose. For a symmetric matrix
that only swaps the triangles, so CUBLAS_FILL_MODE_UPPER there is the lower triangle here.
CuPy exposes no potri; the inverse is a solve against the identity.
"""
import numpy as np
from chainer.backends import cuda

from chainer_kfac.compat import require

_PURPOSE = 'linear algebra on the GPU'


def cholesky_factor(work):
    """Factor a C-contiguous CuPy array in place; (work, ok) with ``ok`` left on the device."""
    cublas = require('cupy_backends.cuda.libs.cublas', _PURPOSE)
    cusolver = require('cupy_backends.cuda.libs.cusolver', _PURPOSE)
    cupy = cuda.cupy
    n = len(work)
    letter = work.dtype.char.replace('f', 's')
    handle = cupy.cuda.device.get_cusolver_handle()
    upper = cublas.CUBLAS_FILL_MODE_UPPER
    size = getattr(cusolver, letter + 'potrf_bufferSize')(handle, upper, n, work.data.ptr, n)
    scratch = cupy.empty(size, work.dtype)
    info = cupy.empty((), np.int32)
    getattr(cusolver, letter + 'potrf')(
        handle, upper, n, work.data.ptr, n, scratch.data.ptr, size, info.data.ptr)
    return work, (info == 0) & cupy.isfinite(work.diagonal()).all()


def cholesky_inverse(work):
    """Inverse of a C-contiguous CuPy array in its place; (work, ok) without a host round trip."""
    factor, ok = cholesky_factor(work.copy())
    work[...] = cuda.cupy.eye(len(work), dtype=work.dtype)
    return cholesky_solve(factor, work, 'left'), ok


def cholesky_solve(factor, rhs, side):
    """Overwrite C-contiguous ``rhs`` by M^-1 rhs ('left') or rhs M^-1 ('right')."""
    cublas = require('cupy_backends.cuda.libs.cublas', _PURPOSE)
    cupy = cuda.cupy
    n = len(factor)
    left = side == 'left'
    trsm = getattr(cublas, factor.dtype.char.replace('f', 's') + 'trsm')
    handle = cupy.cuda.device.get_cublas_handle()
    one = np.ones((), factor.dtype)
    # In column-major eyes rhs is its transpose, so a left solve stands on the right.
    where = cublas.CUBLAS_SIDE_RIGHT if left else cublas.CUBLAS_SIDE_LEFT
    rows, columns = rhs.shape[1], rhs.shape[0]
    order = (cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T)
    for operation in (order if left else order[::-1]):
        trsm(handle, where, cublas.CUBLAS_FILL_MODE_UPPER, operation, cublas.CUBLAS_DIAG_NON_UNIT,
             rows, columns, one.ctypes.data, factor.data.ptr, n, rhs.data.ptr, rows)
    return rhs


def cholesky_inverses(works):
    """Inverses of several arrays: one batched factorisation and solve per size and dtype."""
    results = [None] * len(works)
    groups = {}
    for index, work in enumerate(works):
        groups.setdefault((len(work), work.dtype), []).append(index)
    for indices in groups.values():
        if len(indices) == 1:
            results[indices[0]] = cholesky_inverse(works[indices[0]])
            continue
        inverses, oks = _batched_inverse(cuda.cupy.stack([works[i] for i in indices]))
        for index, inverse, ok in zip(indices, inverses, oks):
            results[index] = inverse, ok
    return results


def _batched_inverse(stack):
    """Inverses of a stack (b, n, n), overwritten; statuses (b,) on the device."""
    cublas = require('cupy_backends.cuda.libs.cublas', _PURPOSE)
    cusolver = require('cupy_backends.cuda.libs.cusolver', _PURPOSE)
    cupy = cuda.cupy
    batch, n, _ = stack.shape
    letter = stack.dtype.char.replace('f', 's')
    info = cupy.empty(batch, np.int32)
    upper = cublas.CUBLAS_FILL_MODE_UPPER
    inverses = cupy.empty_like(stack)
    inverses[...] = cupy.eye(n, dtype=stack.dtype)
    factors_at, inverses_at = _pointers(stack), _pointers(inverses)
    getattr(cusolver, letter + 'potrfBatched')(
        cupy.cuda.device.get_cusolver_handle(), upper, n, factors_at.data.ptr, n,
        info.data.ptr, batch)
    trsm = getattr(cublas, letter + 'trsmBatched')
    one = np.ones((), stack.dtype)
    for operation in (cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T):
        trsm(cupy.cuda.device.get_cublas_handle(), cublas.CUBLAS_SIDE_RIGHT, upper, operation,
             cublas.CUBLAS_DIAG_NON_UNIT, n, n, one.ctypes.data, factors_at.data.ptr, n,
             inverses_at.data.ptr, n, batch)
    diagonals = cupy.diagonal(stack, axis1=1, axis2=2)
    return inverses, (info == 0) & cupy.isfinite(diagonals).all(axis=1)


def _pointers(stack):
    """Device array of the addresses of the matrices of a C-contiguous stack."""
    step = stack.strides[0]
    return cuda.cupy.arange(len(stack), dtype=np.uint64) * step + stack.data.ptr


def symmetric_product(x, out, scale, beta):
    """Lower triangle of C-contiguous ``out`` = scale * x^T x + beta * out, by cuBLAS syrk."""
    cublas = require('cupy.cublas', _PURPOSE)
    cublas.syrk('T', x, out=out, alpha=scale, beta=beta, lower=True)
