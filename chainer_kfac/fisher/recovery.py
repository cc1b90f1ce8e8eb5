"""What happens when a damped factor cannot be factorised.

Retry in float64, then raise the damping tenfold up to three times, then give up: the caller skips
the update and counts what is reported here.
"""
from typing import Any, NamedTuple

import chainer
import numpy as np

from chainer_kfac.fisher.damping import pi, terms
from chainer_kfac.fisher.sides import side_of

MAX_RAISES = 3


class Recovery(NamedTuple):
    """Outcome of `recover`.

    ``value`` is None if everything failed, ``damping`` the one that worked, ``retried`` whether
    the first attempt failed, ``raised`` how often the damping grew tenfold, and ``skipped``
    whether everything failed.
    """

    value: Any
    damping: float
    retried: bool
    raised: int
    skipped: bool


def recover(attempt, damping, dtype, *, hopeless=None):
    """Call ``attempt`` until it succeeds or the policy is exhausted.

    Args:
        attempt (callable): ``attempt(damping, dtype)`` returns (value, ok); ``ok`` may be a device
            array, and is read here. float64 results are the caller's to cast back.
        damping (float): tried first, in ``dtype``; then in float64, then times 10, 100 and 1000.
        dtype (dtype): of the first attempt.
        hopeless (callable or None): asked once after a failure; if it returns true (say, the
            factor is not finite) the remaining attempts are left out.
    Returns:
        Recovery
    """
    value, ok = attempt(damping, np.dtype(dtype))
    if ok:
        return Recovery(value, damping, False, 0, False)
    if hopeless is not None and hopeless():
        return Recovery(None, damping, True, 0, True)
    tries = [(0, damping)] if np.dtype(dtype) != np.float64 else []
    tries += [(raised, damping * 10.0 ** raised) for raised in range(1, MAX_RAISES + 1)]
    for raised, larger in tries:
        value, ok = attempt(larger, np.dtype(np.float64))
        if ok:
            return Recovery(value, larger, True, raised, False)
    return Recovery(None, damping, True, MAX_RAISES, True)


def damped_sides(A, G, damping, pi_type='tracenorm', *, bias=False, solve=False):
    """Both sides of a layer's preconditioner under the policy above.

    A + pi sqrt(damping) I and G + sqrt(damping)/pi I, each as `fisher.sides` keeps it.

    Args:
        A, G (array, (m, m) and (n, n), or RowFactor or RowWindow): undamped; not changed.
        damping (float), pi_type (str): as in `fisher.damping`.
        bias (bool): whether the last row of a dense A belongs to a bias.
        solve (bool): keep Cholesky factors of dense factors instead of their inverses.
    Returns:
        Recovery: its value is (A_side, G_side).
    """
    split = pi(trace(A), width(A), trace(G), width(G), pi_type)

    def attempt(damping, dtype):
        term_A, term_G = terms(damping, split)
        side_A, ok_A = side_of(A, term_A, bias=bias, solve=solve, dtype=dtype)
        side_G, ok_G = side_of(G, term_G, solve=solve, dtype=dtype)
        return (side_A, side_G), ok_A & ok_G

    return recover(attempt, damping, np.promote_types(A.dtype, G.dtype),
                   hopeless=lambda: not (all_finite(A) and all_finite(G)))


def trace(factor):
    """Trace of an undamped factor, dense or kept as rows."""
    return factor.trace() if hasattr(factor, 'ndim') else factor.trace


def width(factor):
    """Width of an undamped factor, dense or kept as rows."""
    return len(factor) if hasattr(factor, 'ndim') else factor.dim


def all_finite(factor):
    """Whether every element of a factor, or of its rows, is finite; reads one number."""
    array = factor if hasattr(factor, 'ndim') else factor.rows
    return bool(chainer.backend.get_array_module(array).isfinite(array).all())
