"""Cholesky factors, inverses and solves of symmetric positive definite matrices.

On the CPU the work is LAPACK's potrf, potri and BLAS' trsm, called in place through views, so
that the only memory is the result's; on the GPU it is cuSOLVER's and cuBLAS' (``gpu.py``).
The status of every factorisation is read and handed to the caller as ``ok``.
"""
import chainer
import numpy as np
from scipy.linalg import blas, lapack

from chainer_kfac.linalg import gpu
from chainer_kfac.linalg.triangle import mirror_lower

_LAPACK = {
    np.dtype('float32'): (lapack.spotrf, lapack.spotri, blas.strsm),
    np.dtype('float64'): (lapack.dpotrf, lapack.dpotri, blas.dtrsm),
}


def cholesky_factor(matrix, *, out=None):
    """Lower Cholesky factor L of a symmetric positive definite matrix, M = L L^T.

    Args:
        matrix (array, (n, n), float32/64): only its lower triangle is read.
        out (array, (n, n) or None): where L goes, C-contiguous; may be ``matrix`` itself.
    Returns:
        (L, ok): L in the lower triangle of a C-contiguous array, whose strict upper triangle
        holds no meaning; ``ok`` is whether the factorisation succeeded and is finite, a bool on
        the CPU and a CuPy array of shape () on the GPU, so that reading it may be put off.
    Raises:
        ValueError: if ``matrix`` is not square, or not float32 or float64.
    """
    work = _working_copy(matrix, out)
    if chainer.backend.get_array_module(work) is not np:
        return gpu.cholesky_factor(work)
    return work, _factor_in_place(work)


def cholesky_inverse(matrix, *, out=None):
    """Inverse of a symmetric positive definite matrix through its Cholesky factor.

    n^3 multiply-adds on the CPU (potrf n^3/3 and potri 2n^3/3 operations, times two).

    Args:
        matrix (array, (n, n), float32/64): only its lower triangle is read.
        out (array, (n, n) or None): where the inverse goes, C-contiguous; may be ``matrix``.
    Returns:
        (inverse, ok): a C-contiguous array, exactly symmetric, and the status as
        `cholesky_factor` reports it. If ``ok`` is false the array holds no meaning.
    Raises:
        ValueError: if ``matrix`` is not square, or not float32 or float64.
    """
    work = _working_copy(matrix, out)
    if chainer.backend.get_array_module(work) is not np:
        return gpu.cholesky_inverse(work)
    ok = _factor_in_place(work)
    if ok:
        potri = _LAPACK[work.dtype][1]
        _, info = potri(work.T, lower=0, overwrite_c=1)
        ok = info == 0
        mirror_lower(work)
    return work, ok


def cholesky_inverses(matrices):
    """`cholesky_inverse` of several matrices; on the GPU, equal sizes go in one batched call.

    Args:
        matrices (list of arrays): each as `cholesky_inverse` takes it; not changed.
    Returns:
        list of (inverse, ok), in the order of ``matrices``.
    """
    if matrices and chainer.backend.get_array_module(*matrices) is not np:
        return gpu.cholesky_inverses([_working_copy(matrix, None) for matrix in matrices])
    return [cholesky_inverse(matrix) for matrix in matrices]


def cholesky_solve(factor, rhs, *, side='left', overwrite=False):
    """Solve with a matrix M given by its Cholesky factor: M^-1 rhs, or rhs M^-1.

    Args:
        factor (array, (n, n)): L as `cholesky_factor` returns it.
        rhs (array, (n, k) for 'left', (k, n) for 'right'): of the dtype of ``factor``.
        side (str): 'left' or 'right', where M^-1 stands.
        overwrite (bool): let the result take the memory of ``rhs`` if that is C-contiguous.
    Returns:
        array, shape of ``rhs``, C-contiguous.
    Raises:
        ValueError: if the shapes or dtypes do not fit, or ``side`` is another word.
    """
    _check_solve(factor, rhs, side)
    xp = chainer.backend.get_array_module(factor)
    result = rhs if overwrite and rhs.flags.c_contiguous else xp.array(rhs, order='C')
    if result.size == 0:
        return result
    if xp is not np:
        return gpu.cholesky_solve(factor, result, side)
    trsm = _LAPACK[factor.dtype][2]
    # LAPACK reads C order as the transpose: rhs^T (M^-1) on the right for a left solve, and the
    # lower L as the upper U = L^T of M = U^T U.
    left = side == 'left'
    for transposed in ((0, 1) if left else (1, 0)):
        trsm(1.0, factor.T, result.T, side=int(left), lower=0, trans_a=transposed, overwrite_b=1)
    return result


def _factor_in_place(work):
    """Overwrite the lower triangle of a C-contiguous array by L; return whether that worked."""
    potrf = _LAPACK[work.dtype][0]
    _, info = potrf(work.T, lower=0, clean=0, overwrite_a=1)
    # A NaN passes the pivot test of some LAPACKs, but always reaches the diagonal of L.
    return info == 0 and bool(np.isfinite(work.diagonal()).all())


def _working_copy(matrix, out):
    """The memory to work in: ``out`` with the values of ``matrix``, or a new C-ordered copy."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError('a square matrix is needed, got shape {}'.format(matrix.shape))
    if matrix.dtype not in _LAPACK:
        raise ValueError('float32 or float64 is needed, got {}'.format(matrix.dtype))
    if out is None:
        return chainer.backend.get_array_module(matrix).array(matrix, order='C')
    if out.shape != matrix.shape or out.dtype != matrix.dtype or not out.flags.c_contiguous:
        raise ValueError('out must be C-contiguous, {} {}; got {} {}'.format(
            matrix.shape, matrix.dtype, out.shape, out.dtype))
    if out is not matrix:
        out[...] = matrix
    return out


def _check_solve(factor, rhs, side):
    if side not in ('left', 'right'):
        raise ValueError("side must be 'left' or 'right', got {!r}".format(side))
    size = rhs.shape[0 if side == 'left' else 1] if rhs.ndim == 2 else None
    if size != len(factor) or rhs.dtype != factor.dtype:
        raise ValueError('cannot solve {} {} with a factor {} {} on the {}'.format(
            rhs.shape, rhs.dtype, factor.shape, factor.dtype, side))
