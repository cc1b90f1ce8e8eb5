"""Factors kept as rows: windows against running averages of matrices, sides against solves."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from chainer_kfac.fisher import ema
from chainer_kfac.fisher.sample_space import RowFactor, RowWindow
from chainer_kfac.fisher.sides import DenseSide, side_of


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


def with_ones(rows, bias):
    return np.c_[rows, np.ones(len(rows))] if bias else rows


def damped(F, term):
    return np.asarray(F, 'd') + term * np.eye(len(F))


def check_side(side, F, term, bias, xp, tolerance):
    """`right`, `left` and `latest_right` against solves with the explicit matrix."""
    d = len(F) - bias
    rng = np.random.RandomState(7)
    rows, column = rng.randn(4, d), rng.randn(4)
    dtype = (side.rows if hasattr(side, 'rows') else side.matrix).dtype
    assert side.dim == len(F)

    def given(array):
        return xp.asarray(array.astype(dtype))

    def close(actual, expected):
        assert actual.dtype == dtype
        assert_allclose(to_host(actual), expected, atol=tolerance * abs(expected).max())

    inverse = np.linalg.inv(damped(F, term))
    joint = np.c_[rows, column] if bias else rows
    arguments = (given(rows), given(column) if bias else None)
    close(side.right(*arguments), joint @ inverse)
    out = xp.empty((4, len(F)), dtype)
    assert side.right(*arguments, out=out) is out
    close(out, joint @ inverse)
    if bias:
        close(side.right(given(rows)), np.c_[rows, np.zeros(4)] @ inverse)
    else:
        matrix = rng.randn(d, 3)
        close(side.left(given(matrix)), inverse @ matrix)
        out = xp.empty((d, 3), dtype)
        side.left(given(matrix), out=out)
        close(out, inverse @ matrix)


@pytest.mark.parametrize('dtype, tolerance', [('d', 1e-11), ('f', 1e-4)])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('n, d', [(1, 1), (1, 6), (8, 3), (5, 30)])
def test_sides(xp, n, d, bias, dtype, tolerance):
    rows = np.random.RandomState(0).randn(n, d).astype(dtype)
    joint = with_ones(rows, bias).astype('d')
    F = 0.3 * joint.T @ joint
    factor = RowFactor(xp.asarray(rows), 0.3, bias)
    assert factor.dim == d + bias
    assert factor.dtype == dtype
    assert_allclose(float(factor.trace), np.trace(F), rtol=1e-5)
    side, ok = factor.damped(0.1)
    assert ok
    check_side(side, F, 0.1, bias, xp, tolerance)
    expected = joint @ np.linalg.inv(damped(F, 0.1))
    assert_allclose(to_host(side.latest_right()), expected, atol=tolerance * abs(expected).max())
    for solve in (False, True):
        side, ok = side_of(xp.asarray(F.astype(dtype)), 0.1, bias=bias, solve=solve)
        assert ok
        check_side(side, F, 0.1, bias, xp, tolerance)


def test_float64_factorisation_of_float32_rows(xp):
    rows = xp.asarray(np.random.RandomState(0).randn(5, 9).astype('f'))
    F = to_host(rows).astype('d').T @ to_host(rows)
    for build in (RowFactor(rows, 1.0).damped, lambda term, dtype: DenseSide.build(
            xp.asarray(F.astype('f')), term, dtype=dtype)):
        side, ok = build(0.1, np.dtype('d'))
        assert ok
        check_side(side, F, 0.1, False, xp, 1e-4)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 4), counts=st.lists(st.integers(1, 6), min_size=1, max_size=7),
       weight=st.sampled_from([0.05, 0.5, 0.9, 0.99, 1.0]), d=st.integers(1, 8),
       bias=st.booleans())
def test_a_window_is_the_average_of_its_batches(length, counts, weight, d, bias):
    """Batches of any size, weighted as the running average of matrices weighs them."""
    rng = np.random.RandomState(0)
    window = RowWindow(length, bias)
    batches = [rng.randn(n, d) for n in counts]
    for rows in batches:
        window.push(rows, 1 / len(rows), weight)
    matrices = [with_ones(rows, bias).T @ with_ones(rows, bias) / len(rows) for rows in batches]
    weights = [weight * (1 - weight) ** age for age in range(len(batches))][::-1]
    weights[0] = (1 - weight) ** (len(batches) - 1)
    kept = list(zip(weights, matrices))[-length:]
    F = sum(w * matrix for w, matrix in kept)
    assert window.truncated_weight == pytest.approx(sum(weights[:-length]), abs=1e-12)
    assert window.trace == pytest.approx(np.trace(F))
    assert window.dim == d + bias
    side, ok = window.damped(0.1)
    assert ok
    check_side(side, F, 0.1, bias, np, 1e-11)
    own = with_ones(batches[-1], bias) @ np.linalg.inv(damped(F, 0.1))
    assert_allclose(side.latest_right(), own, atol=1e-11 * abs(own).max())
    if len(batches) <= length:
        average = None
        for matrix in matrices:
            average = ema.update(average, matrix.copy(), weight)
        assert_allclose(F, average, atol=1e-12)


def test_a_window_on_every_device(xp):
    rng = np.random.RandomState(0)
    window = RowWindow(2, bias=True)
    matrices = []
    for n in (3, 5, 4):
        rows = rng.randn(n, 6)
        joint = with_ones(rows, True)
        matrices.append(joint.T @ joint / n)
        window.push(xp.asarray(rows), 1 / n, 0.9)
    assert float(window.truncated_weight) == pytest.approx(0.1 ** 2)
    side, _ = window.damped(0.1)
    check_side(side, 0.09 * matrices[1] + 0.9 * matrices[2], 0.1, True, xp, 1e-11)


def test_truncation_vanishes_as_the_window_grows():
    """With 0.99 on the newest batch, a window of four is exact in float32."""
    rng = np.random.RandomState(0)
    batches = [rng.randn(8, 20) for _ in range(8)]
    F = None
    windows = [RowWindow(length) for length in (1, 2, 3, 4)]
    for rows in batches:
        F = ema.update(F, rows.T @ rows / 8, 0.99)
        for window in windows:
            window.push(rows, 1 / 8, 0.99)
    z = rng.randn(3, 20)
    expected = z @ np.linalg.inv(damped(F, 0.1))
    errors = [abs(window.damped(0.1)[0].right(z) - expected).max() / abs(expected).max()
              for window in windows]
    assert errors[3] < 1e-6
    assert all(later < 0.1 * earlier for earlier, later in zip(errors, errors[1:]))
    assert windows[3].truncated_weight == pytest.approx(0.01 ** 4, rel=1e-6)


def test_the_rows_of_one_batch_are_not_copied(xp):
    rows = xp.ones((2, 3))
    assert RowFactor(rows, 1.0).damped(0.1)[0].rows is rows


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_statuses(xp, bad):
    rows = xp.ones((3, 5), 'f')
    rows[1, 2] = bad
    assert not RowFactor(rows, 1.0).damped(0.1)[1]
    window = RowWindow(2)
    with np.errstate(invalid='ignore'):
        window.push(rows, 1.0, 0.5)
    assert not window.damped(0.1)[1]


def test_lengths_that_make_no_sense():
    with pytest.raises(ValueError, match='got 0'):
        RowWindow(0)
