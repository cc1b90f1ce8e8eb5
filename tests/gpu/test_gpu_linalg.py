"""Dense linear algebra on a card, with memory that is full of NaN."""
import numpy as np
import pytest
from comparison import compare

from chainer_kfac import linalg


def inverse(n):
    def case(place):
        matrix = place.positive_definite(n)
        inverse, ok = linalg.cholesky_inverse(matrix, out=place.poisoned(n, n))
        return {'inverse': inverse, 'ok': place.xp.asarray(ok), 'kept': matrix}
    return case


def inverses(*widths):
    def case(place):
        found = linalg.cholesky_inverses([place.positive_definite(n) for n in widths])
        return {str(i): inverse for i, (inverse, _) in enumerate(found)} | {
            'ok': place.xp.asarray([bool(ok) for _, ok in found])}
    return case


def broken(place):
    matrices = [place.positive_definite(5) for _ in range(4)]
    matrices[1][2, 2] = -1
    matrices[2][3, 1] = np.nan
    return {'ok': place.xp.asarray([bool(ok) for _, ok in linalg.cholesky_inverses(matrices)]),
            'alone': place.xp.asarray([bool(linalg.cholesky_inverse(m)[1]) for m in matrices])}


def solve(side, n, k):
    def case(place):
        factor, ok = linalg.cholesky_factor(place.positive_definite(n))
        rhs = place.normal(n, k) if side == 'left' else place.normal(k, n)
        return {'x': linalg.cholesky_solve(factor, rhs, side=side), 'ok': place.xp.asarray(ok),
                'L': place.xp.tril(factor)}
    return case


def product(rows, n, keep=0.0, transposed=False):
    def case(place):
        x = place.normal(n, rows).T if transposed else place.normal(rows, n)
        out = place.positive_definite(n) if keep else place.poisoned(n, n)
        return {'product': linalg.symmetric_product(x, out=out, scale=0.5, keep=keep)}
    return case


def added(place):
    out = place.normal(7, 3)
    return {'sum': linalg.add_product(place.normal(9, 7), place.normal(9, 3), out)}


def triangles(place):
    matrix = place.positive_definite(6)
    flat = linalg.pack_triangle(matrix, place.poisoned(21))
    lower = place.normal(6, 6)
    return {'flat': flat, 'back': linalg.unpack_triangle(flat, place.poisoned(6, 6)),
            'mirrored': linalg.mirror_lower(lower)}


CASES = {
    'inverse 1': inverse(1), 'inverse 33': inverse(33), 'inverse 130': inverse(130),
    'inverses': inverses(3, 17, 3, 8, 3, 17), 'broken': broken,
    'solve left': solve('left', 12, 5), 'solve right': solve('right', 12, 5),
    'solve one': solve('left', 1, 1), 'product': product(40, 9), 'product wide': product(3, 20),
    'product of a transpose': product(40, 9, transposed=True),
    'product added': product(40, 9, keep=0.7), 'add_product': added,
    'triangles': triangles,
}


@pytest.mark.parametrize('name', CASES)
def test_equals_float64(xp, name):
    compare(CASES[name], xp, 1e-4)
