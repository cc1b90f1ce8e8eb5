"""Cholesky factors, inverses and solves: values, memory, and statuses."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from chainer_kfac.linalg import (
    cholesky_factor,
    cholesky_inverse,
    cholesky_inverses,
    cholesky_solve,
)

SIZES = [1, 2, 5, 127, 128, 129, 300]
BOUND = {'f': 2e-5, 'd': 1e-13}


def positive_definite(xp, n, dtype, seed=0):
    """Eigenvalues within [0.5, 10] or so, in random directions."""
    rows = np.random.RandomState(seed).randn(2 * n, n)
    return xp.asarray((rows.T @ rows / (2 * n) + 0.5 * np.eye(n)).astype(dtype))


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


@pytest.mark.parametrize('dtype', 'fd')
@pytest.mark.parametrize('n', SIZES)
def test_inverse_is_the_inverse_and_symmetric(xp, n, dtype):
    matrix = positive_definite(xp, n, dtype)
    before = matrix.copy()
    inverse, ok = cholesky_inverse(matrix)
    assert ok
    assert inverse.dtype == dtype
    assert inverse.flags.c_contiguous
    assert_array_equal(to_host(inverse), to_host(inverse).T)
    residual = to_host(inverse).astype('d') @ to_host(matrix) - np.eye(n)
    assert abs(residual).max() < BOUND[dtype] * 10
    assert_array_equal(to_host(matrix), to_host(before))


def test_only_the_lower_triangle_is_read(xp):
    matrix = positive_definite(xp, 20, 'd')
    garbage = matrix.copy()
    garbage[xp.triu_indices(20, 1)] = np.nan
    assert_array_equal(to_host(cholesky_inverse(garbage)[0]), to_host(cholesky_inverse(matrix)[0]))


def test_in_place_and_into_other_memory(xp):
    matrix = positive_definite(xp, 30, 'f')
    expected = cholesky_inverse(matrix)[0]
    out = xp.empty_like(matrix)
    assert cholesky_inverse(matrix, out=out)[0] is out
    assert_array_equal(to_host(out), to_host(expected))
    assert cholesky_inverse(matrix, out=matrix)[0] is matrix
    assert_array_equal(to_host(matrix), to_host(expected))


def test_fortran_order_is_accepted(xp):
    matrix = xp.asfortranarray(positive_definite(xp, 9, 'd'))
    assert_array_equal(to_host(cholesky_inverse(matrix)[0]),
                       to_host(cholesky_inverse(xp.ascontiguousarray(matrix))[0]))


@pytest.mark.parametrize('dtype', 'fd')
@pytest.mark.parametrize('n', SIZES)
def test_factor_and_solve(xp, n, dtype):
    matrix = positive_definite(xp, n, dtype)
    factor, ok = cholesky_factor(matrix)
    assert ok
    lower = np.tril(to_host(factor)).astype('d')
    assert abs(lower @ lower.T - to_host(matrix)).max() < BOUND[dtype]
    rhs = xp.asarray(np.random.RandomState(1).randn(n, 7).astype(dtype))
    before = rhs.copy()
    expected = np.linalg.solve(to_host(matrix).astype('d'), to_host(rhs).astype('d'))
    assert abs(to_host(cholesky_solve(factor, rhs)) - expected).max() < BOUND[dtype] * 10
    right = cholesky_solve(factor, rhs.T, side='right')
    assert right.flags.c_contiguous
    assert abs(to_host(right) - expected.T).max() < BOUND[dtype] * 10
    assert_array_equal(to_host(rhs), to_host(before))
    assert cholesky_solve(factor, rhs, overwrite=True) is rhs
    assert abs(to_host(rhs) - expected).max() < BOUND[dtype] * 10


def test_solve_without_right_hand_sides(xp):
    factor, _ = cholesky_factor(positive_definite(xp, 4, 'f'))
    assert cholesky_solve(factor, xp.empty((4, 0), 'f')).shape == (4, 0)


@pytest.mark.parametrize('function', [cholesky_inverse, cholesky_factor])
@pytest.mark.parametrize('n', [1, 2, 40, 200])
def test_failures_are_reported(xp, function, n):
    matrix = positive_definite(xp, n, 'f')
    assert not function(-matrix)[1]
    assert not function(xp.zeros_like(matrix))[1]
    places = {(0, 0), (n - 1, n - 1), (n - 1, 0), (n // 2, n // 3)}
    for bad in (np.nan, np.inf, -np.inf):
        for row, column in places:
            broken = matrix.copy()
            broken[row, column] = broken[column, row] = bad
            assert not function(broken)[1], (bad, row, column)


def test_a_barely_indefinite_matrix_fails(xp):
    values = np.ones(50)
    values[17] = -1e-3
    basis, _ = np.linalg.qr(np.random.RandomState(0).randn(50, 50))
    assert not cholesky_inverse(xp.asarray((basis * values) @ basis.T))[1]


def test_several_at_once_equal_one_by_one(xp):
    matrices = [positive_definite(xp, n, dtype, seed=i) for i, (n, dtype) in enumerate(
        [(5, 'f'), (8, 'f'), (5, 'f'), (5, 'd'), (8, 'f'), (5, 'f')])]
    matrices[2] = -matrices[2]
    before = [matrix.copy() for matrix in matrices]
    results = cholesky_inverses(matrices)
    assert [bool(ok) for _, ok in results] == [True, True, False, True, True, True]
    for matrix, original, (inverse, ok) in zip(matrices, before, results, strict=True):
        assert_array_equal(to_host(matrix), to_host(original))
        assert inverse.dtype == matrix.dtype
        if ok:
            difference = to_host(inverse) - to_host(cholesky_inverse(matrix)[0])
            assert abs(difference).max() < 1e-6
    assert cholesky_inverses([]) == []


@pytest.mark.parametrize('function', [cholesky_inverse, cholesky_factor])
def test_arguments_that_do_not_fit(xp, function):
    with pytest.raises(ValueError, match=r'\(2, 3\)'):
        function(xp.ones((2, 3)))
    with pytest.raises(ValueError, match='float16'):
        function(xp.eye(3, dtype='e'))
    with pytest.raises(ValueError, match='out must be'):
        function(xp.eye(3), out=xp.empty((3, 3), 'f'))
    with pytest.raises(ValueError, match='out must be'):
        function(xp.eye(3), out=xp.empty((3, 3), order='F'))


def test_solves_that_do_not_fit(xp):
    factor = xp.eye(3)
    for rhs, side in ((xp.ones((2, 3)), 'left'), (xp.ones((3, 2)), 'right'),
                      (xp.ones(3), 'left'), (xp.ones((3, 2), 'f'), 'left'),
                      (xp.ones((3, 3)), 'above')):
        with pytest.raises(ValueError):
            cholesky_solve(factor, rhs, side=side)
