"""What happens when a damped factor cannot be factorised.

Retry in float64, then raise the damping tenfold up to three times, then give up: the caller skips
the update and counts what is reported here.
"""
from typing import Any, NamedTuple

import numpy as np

from chainer_kfac.fisher.damping import add_to_diagonal, pi, terms
from chainer_kfac.fisher.sides import DenseSide, side_of
from chainer_kfac.linalg import all_finite, cholesky_inverses, read

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
        attempt (callable): ``attempt(damping, dtype)`` returns (value, ok); ``ok`` may be on a
            device, and is waited for here. float64 results are the caller's to cast back.
        damping (float): tried first, in ``dtype``; then in float64, then times 10, 100 and 1000.
        dtype (dtype): of the first attempt.
        hopeless (callable or None): asked once after a failure; if it returns true (say, the
            factor is not finite) the remaining attempts are left out.
    Returns:
        Recovery
    """
    value, ok = attempt(damping, np.dtype(dtype))
    if read(ok)[0][0]:
        return Recovery(value, damping, False, 0, False)
    if hopeless is not None and hopeless():
        return Recovery(None, damping, True, 0, True)
    tries = [(0, damping)] if np.dtype(dtype) != np.float64 else []
    tries += [(raised, damping * 10.0 ** raised) for raised in range(1, MAX_RAISES + 1)]
    for raised, larger in tries:
        value, ok = attempt(larger, np.dtype(np.float64))
        if read(ok)[0][0]:
            return Recovery(value, larger, True, raised, False)
    return Recovery(None, damping, True, MAX_RAISES, True)


class Request(NamedTuple):
    """A layer's two undamped factors, and how to invert them.

    Attributes:
        A, G (array, (m, m) and (n, n), or RowFactor or RowWindow): undamped; not changed.
        damping (float), pi_type (str): as in `fisher.damping`.
        bias (bool): whether the last row of a dense A belongs to a bias.
        solve (bool): keep Cholesky factors of dense factors instead of their inverses.
    """

    A: Any
    G: Any
    damping: float
    pi_type: str = 'tracenorm'
    bias: bool = False
    solve: bool = False

    def terms_of(self, damping):
        """What ``damping`` adds to the diagonals of A and G."""
        A, G = self.A, self.G
        return terms(damping, pi(trace(A), width(A), trace(G), width(G), self.pi_type))

    @property
    def dtype(self):
        """Precision of the first attempt."""
        return np.promote_types(self.A.dtype, self.G.dtype)

    def is_hopeless(self):
        """Whether no damping helps; asked after a failure."""
        return not (is_finite(self.A) and is_finite(self.G))


def damped_sides(A, G, damping, pi_type='tracenorm', *, bias=False, solve=False):
    """Both sides of a layer's preconditioner under the policy above.

    A + pi sqrt(damping) I and G + sqrt(damping)/pi I, each as `fisher.sides` keeps it.

    Args:
        A, G, damping, pi_type, bias, solve: see `Request`.
    Returns:
        Recovery: its value is (A_side, G_side).
    """
    request = Request(A, G, damping, pi_type, bias, solve)

    def attempt(damping, dtype):
        term_A, term_G = request.terms_of(damping)
        side_A, ok_A = side_of(A, term_A, bias=bias, solve=solve, dtype=dtype)
        side_G, ok_G = side_of(G, term_G, solve=solve, dtype=dtype)
        return (side_A, side_G), ok_A & ok_G

    return recover(attempt, damping, request.dtype, hopeless=request.is_hopeless)


def first_attempts(requests):
    """The first attempt of `damped_sides` of several layers, for a device: equal sizes at once.

    Nothing is waited for, so it is not known yet which of them succeeded.

    Args:
        requests (list of Request)
    Returns:
        list of ((A_side, G_side), ok), one for each request; ``ok`` is an array of shape () on
        the device. Where it turns out to be false, `damped_sides` knows what to do.
    """
    inverses, sides = [], []
    for request in requests:
        pair = []
        for factor, term, has_bias in zip(
                request[:2], request.terms_of(request.damping), (request.bias, False), strict=True):
            if hasattr(factor, 'ndim') and not request.solve:
                inverses.append((add_to_diagonal(factor, term), pair, len(pair), has_bias))
                pair.append(None)
            else:
                pair.append(side_of(factor, term, bias=has_bias, solve=request.solve))
        sides.append(pair)
    found = cholesky_inverses([damped for damped, *_ in inverses])
    for (inverse, ok), (_, pair, place, has_bias) in zip(found, inverses, strict=True):
        pair[place] = DenseSide(inverse, False, has_bias), ok
    return [((A, G), ok_A & ok_G) for (A, ok_A), (G, ok_G) in sides]


def trace(factor):
    """Trace of an undamped factor, dense or kept as rows."""
    return factor.trace() if hasattr(factor, 'ndim') else factor.trace


def width(factor):
    """Width of an undamped factor, dense or kept as rows."""
    return len(factor) if hasattr(factor, 'ndim') else factor.dim


def is_finite(factor):
    """Whether every element of a factor, or of its rows, is finite."""
    return all_finite([factor if hasattr(factor, 'ndim') else factor.rows])
