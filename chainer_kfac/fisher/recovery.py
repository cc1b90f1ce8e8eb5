"""What happens when a damped factor cannot be factorised.

Retry in float64, then raise the damping tenfold up to three times, then give up: the caller skips
the update and counts what is reported here.
"""
from typing import Any, NamedTuple

import chainer
import numpy as np

from chainer_kfac.fisher.damping import add_to_diagonal, pi, terms
from chainer_kfac.fisher.sides import DenseSide, side_of
from chainer_kfac.linalg import cholesky_inverses

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


class Request(NamedTuple):
    """The arguments of one `damped_sides` among several."""

    A: Any
    G: Any
    damping: float
    pi_type: str = 'tracenorm'
    bias: bool = False
    solve: bool = False


def damped_sides_together(requests):
    """`damped_sides` of several layers, for a device: equal sizes at once, one status read.

    The first attempts of all layers are queued without waiting for any; those that fail follow
    the policy one by one.

    Args:
        requests (list of Request)
    Returns:
        list of Recovery, one for each request.
    """
    inverses, sides = [], []
    for A, G, damping, pi_type, bias, solve in requests:
        split = pi(trace(A), width(A), trace(G), width(G), pi_type)
        pair = []
        for factor, term, has_bias in zip((A, G), terms(damping, split), (bias, False)):
            if hasattr(factor, 'ndim') and not solve:
                inverses.append((add_to_diagonal(factor, term), pair, len(pair), has_bias))
                pair.append(None)
            else:
                side, ok = side_of(factor, term, bias=has_bias, solve=solve)
                pair.append((side, ok))
        sides.append(pair)
    found = cholesky_inverses([damped for damped, *_ in inverses])
    for (inverse, ok), (_, pair, place, has_bias) in zip(found, inverses):
        pair[place] = DenseSide(inverse, False, has_bias), ok
    oks = _read([ok_A & ok_G for (_, ok_A), (_, ok_G) in sides])
    return [
        Recovery((A[0], G[0]), request.damping, False, 0, False) if ok
        else damped_sides(*request[:4], bias=request.bias, solve=request.solve)
        for (A, G), ok, request in zip(sides, oks, requests)]


def _read(statuses):
    """Statuses on the host, in one transfer."""
    if not statuses:
        return []
    xp = chainer.backend.get_array_module(*statuses)
    return chainer.backends.cuda.to_cpu(xp.stack([xp.asarray(status) for status in statuses]))


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
