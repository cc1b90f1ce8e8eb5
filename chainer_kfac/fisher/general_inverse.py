"""Damped inverses by LU instead of Cholesky factors: the ``use_cholesky=False`` of the optimizers.

Costs three times as much, and succeeds on factors that are not positive definite.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.damping import add_to_diagonal
from chainer_kfac.fisher.recovery import Recovery, Request, recover
from chainer_kfac.fisher.sides import DenseSide
from chainer_kfac.linalg import finite_flags


def general_sides(request: Request) -> Recovery:
    """`recovery.damped_sides` of two dense factors by general matrix inversion."""
    return recover(lambda damping, dtype: general_attempt(request, damping, dtype),
                   request.damping, request.dtype, hopeless=request.is_hopeless)


def general_attempt(request: Request, damping, dtype):
    """((A_side, G_side), ok) with one damping in one precision; on a device ``ok`` stays there."""
    sides = [general_side(factor, term, dtype, bias) for factor, term, bias in zip(
        request[:2], request.terms_of(damping), (request.bias, False), strict=True)]
    if None in sides:
        return None, False
    flags = finite_flags([side.matrix for side in sides])
    return tuple(sides), flags[0] & flags[1]


def general_side(factor, term, dtype, bias):
    """The side of factor + term I, or None if it is singular."""
    xp = chainer.backend.get_array_module(factor)
    try:
        inverse = xp.linalg.inv(add_to_diagonal(factor.astype(dtype), term))
    except np.linalg.LinAlgError:
        return None
    symmetric = (inverse + inverse.T) / 2
    return DenseSide(symmetric.astype(factor.dtype, copy=False), False, bias)
