"""How one damping value is shared between the two Kronecker factors of a layer.

The damped block is (G + sqrt(damping)/pi I) x (A + pi sqrt(damping) I): arXiv:1503.05671,
section 6.3, with pi = sqrt((tr A / dim A) / (tr G / dim G)).
"""
import chainer
import numpy as np

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.linalg import is_on_host

PI_TYPES = ('tracenorm', 'none')


def pi(trace_A, dim_A, trace_G, dim_G, pi_type='tracenorm'):
    """The split of the damping between A and G, from the traces of the undamped factors.

    Args:
        trace_A, trace_G (float or array of shape ()): traces; on the GPU they stay there.
        dim_A, dim_G (int): widths of the factors.
        pi_type (str): 'tracenorm' as above, or 'none' for an even split, pi = 1.
    Returns:
        float or array of shape (): 1 where a trace is not a positive finite number, for a factor
        of zeros says nothing of the scale.
    Raises:
        ConfigError: if ``pi_type`` is another word.
    """
    check_pi_type(pi_type)
    if pi_type == 'none':
        return 1.0
    xp = chainer.backend.get_array_module(trace_A, trace_G)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        ratio = xp.asarray(trace_A, np.float64) / xp.asarray(trace_G, np.float64) * (dim_G / dim_A)
        root = xp.where(xp.isfinite(ratio) & (ratio > 0), xp.sqrt(ratio), 1.0)
    return float(root) if is_on_host(root) else root


def pi_of(A, G, pi_type='tracenorm'):
    """`pi` of two undamped factors, (m, m) and (n, n)."""
    return pi(A.trace(), len(A), G.trace(), len(G), pi_type)


def check_pi_type(pi_type):
    """Raise ConfigError unless ``pi_type`` is one of `PI_TYPES`."""
    if pi_type not in PI_TYPES:
        raise ConfigError('pi_type is {!r}; choose one of {}'.format(
            pi_type, ', '.join(PI_TYPES)))


def effective_damping(damping, l2=0.0):
    """The damping used where a parameter has an L2 coefficient: the larger of the two."""
    return max(damping, l2)


def terms(damping, split):
    """What is added to the diagonals of A and of G: (pi sqrt(damping), sqrt(damping) / pi)."""
    root = damping ** 0.5
    return split * root, root / split


def add_to_diagonal(matrix, term, *, out=None):
    """matrix + term * I in new memory, or in ``out``; the matrix itself is not changed."""
    xp = chainer.backend.get_array_module(matrix)
    if out is None:
        out = xp.array(matrix, order='C')
    elif out is not matrix:
        out[...] = matrix
    n = len(out)
    out.reshape(-1)[::n + 1] += xp.asarray(term, out.dtype)
    return out
