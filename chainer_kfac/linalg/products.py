"""Products that NumPy lacks: x^T x at half the price, and a^T b added to an array in place."""
import chainer
import numpy as np
from scipy.linalg import blas

from chainer_kfac.linalg import gpu
from chainer_kfac.linalg.triangle import mirror_lower

_SYRK = {np.dtype('float32'): blas.ssyrk, np.dtype('float64'): blas.dsyrk}
_GEMM = {np.dtype('float32'): blas.sgemm, np.dtype('float64'): blas.dgemm}


def symmetric_product(x, *, out=None, scale=1.0, keep=0.0):
    """scale * x^T x + keep * out, a symmetric rank-k update: N n^2 operations instead of 2 N n^2.

    Args:
        x (array, (N, n), float32/64): rows; copied first unless one of its axes is contiguous.
        out (array, (n, n) or None): C-contiguous, where the result goes.
        scale (float): factor of the product.
        keep (float): factor of what ``out`` holds, of which the lower triangle is read; with 0 it
            may hold anything, even NaN.
    Returns:
        array, (n, n): ``out``, or new memory; exactly symmetric, dtype of ``x``.
    Raises:
        ValueError: if ``x`` is no matrix of float32 or float64, or ``out`` does not fit.
    """
    if x.ndim != 2 or x.dtype not in _SYRK:
        raise ValueError('a float32 or float64 matrix is needed, got {} of shape {}'.format(
            x.dtype, x.shape))
    n = x.shape[1]
    xp = chainer.backend.get_array_module(x)
    if out is None:
        if keep:
            raise ValueError('keep needs out, the array to add to')
        out = xp.empty((n, n), x.dtype)
    elif out.shape != (n, n) or out.dtype != x.dtype or not out.flags.c_contiguous:
        raise ValueError('out must be C-contiguous, ({0}, {0}) {1}; got {2} {3}'.format(
            n, x.dtype, out.shape, out.dtype))
    if xp is not np:
        gpu.symmetric_product(x, out, scale, keep)
    elif x.size:
        # In Fortran's eyes the upper triangle of out^T is the lower one of out. It takes x^T of a
        # C-contiguous x, or x itself if that is the transpose of one, without a copy.
        flipped = x.flags.f_contiguous and not x.flags.c_contiguous
        _SYRK[x.dtype](scale, x if flipped else x.T, beta=keep, c=out.T, trans=int(flipped),
                       lower=0, overwrite_c=1)
    else:
        out[...] = keep * out if keep else 0
    return mirror_lower(out)


def add_product(a, b, out):
    """out += a^T b without a temporary of the size of ``out``.

    Args:
        a (array, (k, n)), b (array, (k, m)): float32 or float64.
        out (array, (n, m), C-contiguous): added to; of the same dtype.
    Returns:
        array: ``out``.
    Raises:
        ValueError: if the shapes or dtypes do not fit.
    """
    if out.shape != (a.shape[1], b.shape[1]) or not a.dtype == b.dtype == out.dtype or not (
            out.flags.c_contiguous):
        raise ValueError('cannot add {}^T {} ({}, {}) to {} {}'.format(
            a.shape, b.shape, a.dtype, b.dtype, out.shape, out.dtype))
    if chainer.backend.get_array_module(out) is not np:
        out += a.T @ b
    elif out.size and len(a):
        # In Fortran's eyes: out^T = b^T a + out^T.
        _GEMM[out.dtype](1.0, b.T, a.T, beta=1.0, c=out.T, trans_b=1, overwrite_c=1)
    return out
