"""Damped inverses by LU instead of Cholesky factors: the ``use_cholesky=False`` of the optimizers.

Costs three times as much, and succeeds on factors that are not positive definite.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.damping import add_to_diagonal, pi_of, terms
from chainer_kfac.fisher.recovery import Recovery, Request, all_finite, recover
from chainer_kfac.fisher.sides import DenseSide


def general_sides(request: Request) -> Recovery:
    """`recovery.damped_sides` of two dense factors by general matrix inversion."""
    A, G, damping, pi_type, bias, _ = request
    split = pi_of(A, G, pi_type)

    def attempt(damping, dtype):
        sides = [general_side(factor, term, dtype, has_bias) for factor, term, has_bias in zip(
            (A, G), terms(damping, split), (bias, False), strict=True)]
        return tuple(sides), all(side is not None and all_finite(side.matrix) for side in sides)

    return recover(attempt, damping, np.promote_types(A.dtype, G.dtype),
                   hopeless=lambda: not (all_finite(A) and all_finite(G)))


def general_side(factor, term, dtype, bias):
    """The side of factor + term I, or None if it is singular."""
    xp = chainer.backend.get_array_module(factor)
    try:
        inverse = xp.linalg.inv(add_to_diagonal(factor.astype(dtype), term))
    except np.linalg.LinAlgError:
        return None
    symmetric = (inverse + inverse.T) / 2
    return DenseSide(symmetric.astype(factor.dtype, copy=False), False, bias)
