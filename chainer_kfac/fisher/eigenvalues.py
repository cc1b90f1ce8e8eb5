"""Eigenvalues of a Kronecker factor, whatever its running average is kept as."""
import numpy as np
from chainer.backends import cuda

from chainer_kfac.fisher.moving import as_matrix
from chainer_kfac.fisher.sample_space import RowWindow


def eigenvalues(average):
    """All eigenvalues of an undamped average, on the host.

    A window of fewer rows than columns, F = R^T diag(s) R, has those of the small matrix
    sqrt(s) R R^T sqrt(s), and zeros. Rounding leaves an error of about 1e-7 times the largest
    eigenvalue in float32, so the smallest of a singular factor are noise and may be negative.
    A matrix of width 4,096 takes seconds.

    Args:
        average (array, (m, m) or (groups, m, m), or `RowWindow`): not changed.
    Returns:
        numpy array, (groups, m), in the dtype of ``average``, ascending.
    """
    if isinstance(average, RowWindow) and len(average.rows) < average.dim:
        root = cuda.to_cpu(average.roots())
        found = np.linalg.eigvalsh(cuda.to_cpu(average.gram) * root * root[:, None])
        zeros = np.zeros(average.dim - len(found), found.dtype)
        return np.sort(np.concatenate([zeros, found]))[None]
    matrix = cuda.to_cpu(as_matrix(average))
    return np.linalg.eigvalsh(matrix if matrix.ndim == 3 else matrix[None])
