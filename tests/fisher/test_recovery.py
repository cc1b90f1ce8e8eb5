"""The order of attempts when a factor fails, what is counted, and what comes out."""
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.fisher import damping as damping_
from chainer_kfac.fisher.recovery import (
    Request,
    damped_sides,
    first_attempts,
    recover,
)
from chainer_kfac.fisher.sample_space import RowFactor


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


def attempts_until(success, dtype='f', hopeless=None):
    """The attempts made if the one with index ``success`` is the first to succeed."""
    made = []

    def attempt(damping, dtype):
        made.append((damping, dtype.char))
        return 'value {}'.format(len(made) - 1), len(made) - 1 == success

    return made, recover(attempt, 0.5, dtype, hopeless=hopeless)


@pytest.mark.parametrize('success, damping, retried, raised', [
    (0, 0.5, False, 0), (1, 0.5, True, 0), (2, 5, True, 1), (3, 50, True, 2), (4, 500, True, 3)])
def test_order_of_attempts(success, damping, retried, raised):
    made, outcome = attempts_until(success)
    policy = [(0.5, 'f'), (0.5, 'd'), (5, 'd'), (50, 'd'), (500, 'd')]
    assert made == policy[:success + 1]
    assert outcome == ('value {}'.format(success), damping, retried, raised, False)


def test_after_the_last_attempt():
    made, outcome = attempts_until(None)
    assert len(made) == 5
    assert outcome == (None, 0.5, True, 3, True)


def test_float64_is_not_tried_twice():
    made, outcome = attempts_until(1, 'd')
    assert made == [(0.5, 'd'), (5, 'd')]
    assert outcome.raised == 1


def test_the_hopeless_are_not_tried_again():
    made, outcome = attempts_until(2, hopeless=lambda: True)
    assert len(made) == 1
    assert outcome.skipped
    assert outcome.raised == 0
    made, outcome = attempts_until(2, hopeless=lambda: False)
    assert len(made) == 3


def factors(xp, dtype='f'):
    x, gy = np.random.RandomState(0).randn(2, 12, 5)
    return xp.asarray((x.T @ x / 12).astype(dtype)), xp.asarray((gy.T @ gy / 12).astype(dtype))


@pytest.mark.parametrize('solve', [False, True])
@pytest.mark.parametrize('dtype', 'fd')
def test_sides_of_sound_factors(xp, dtype, solve):
    A, G = factors(xp, dtype)
    before = to_host(A).copy()
    outcome = damped_sides(A, G, 0.01, solve=solve)
    assert outcome[1:] == (0.01, False, 0, False)
    assert_array_equal(to_host(A), before)
    split = np.sqrt(np.trace(to_host(A)) / np.trace(to_host(G)))
    for side, factor, term in zip(outcome.value, (A, G), (split * 0.1, 0.1 / split), strict=True):
        inverse = np.linalg.inv(to_host(factor) + term * np.eye(5))
        assert_allclose(to_host(side.right(xp.eye(5, dtype=dtype))), inverse, rtol=1e-4, atol=1e-4)


def test_a_factor_that_only_float64_can_factorise(xp):
    """float32 rounds the damping term 1e-5 away from 1e3: the second pivot is 0."""
    A = xp.full((2, 2), 1e3, 'f')
    outcome = damped_sides(A, xp.eye(3, dtype='f'), 1e-10, 'none')
    assert outcome[1:] == (1e-10, True, 0, False)
    inverse = outcome.value[0].matrix
    assert inverse.dtype == np.float32
    assert_allclose(to_host(inverse), [[5e4, -5e4], [-5e4, 5e4]], rtol=1e-4)


def test_the_damping_is_raised_until_it_suffices(xp):
    A = xp.asarray(np.diag([1, -0.5]).astype('f'))
    outcome = damped_sides(A, xp.eye(2, dtype='f'), 0.01, 'none')
    assert outcome[1:] == (1.0, True, 2, False)
    wanted = 1 / (np.array([1, -0.5]) + 1)
    assert_allclose(to_host(outcome.value[0].right(xp.eye(2, dtype='f'))), np.diag(wanted),
                    rtol=1e-6)
    outcome = damped_sides(100 * A, xp.eye(2, dtype='f'), 0.01, 'none')
    assert outcome.skipped
    assert outcome.value is None


@pytest.mark.parametrize('bad', [np.nan, np.inf])
@pytest.mark.parametrize('which', [0, 1])
def test_what_is_not_finite_is_skipped_at_once(xp, bad, which, monkeypatch):
    pair = list(factors(xp))
    pair[which][2, 1] = pair[which][1, 2] = bad
    outcome = damped_sides(*pair, 0.01)
    assert outcome == (None, 0.01, True, 0, True)
    rows = [xp.asarray(np.random.RandomState(0).randn(4, 9).astype('f')) for _ in range(2)]
    rows[which][0, 0] = bad
    outcome = damped_sides(RowFactor(rows[0], 0.25, True), RowFactor(rows[1], 0.25), 0.01)
    assert outcome == (None, 0.01, True, 0, True)


def test_rows_and_matrices_agree(xp):
    x = xp.asarray(np.random.RandomState(0).randn(6, 9))
    _, G = factors(xp, 'd')
    ones = xp.ones((6, 1))
    A = xp.concatenate([x, ones], axis=1)
    A = A.T @ A / 6
    dense = damped_sides(A, G, 0.01, bias=True)
    rows = damped_sides(RowFactor(x, 1 / 6, True), G, 0.01)
    assert dense[1:] == rows[1:] == (0.01, False, 0, False)
    z, column = x[:3], xp.asarray([1.0, 2, 3])
    assert_allclose(to_host(rows.value[0].right(z, column)),
                    to_host(dense.value[0].right(z, column)), atol=1e-10)
    assert damping_.pi_of(A, G) == pytest.approx(damping_.pi(
        RowFactor(x, 1 / 6, True).trace, 10, G.trace(), 5))


def test_several_layers_at_once_equal_one_by_one(xp):
    """Sound, hard, hopeless and row-kept factors side by side."""
    A, G = factors(xp)
    nan = A.copy()
    nan[0, 0] = np.nan
    rows = RowFactor(xp.asarray(np.random.RandomState(0).randn(4, 7).astype('f')), 0.25, True)
    requests = [
        Request(A, G, 0.01), Request(A, G, 0.3, 'none', True), Request(A, G, 0.01, solve=True),
        Request(xp.full((2, 2), 1e3, 'f'), xp.eye(3, dtype='f'), 1e-10, 'none'),
        Request(nan, G, 0.01), Request(rows, G, 0.01)]
    attempts = first_attempts(requests)
    assert [bool(ok) for _, ok in attempts] == [True, True, True, False, False, True]
    for request, (sides, ok) in zip(requests, attempts, strict=True):
        alone = damped_sides(*request[:4], bias=request.bias, solve=request.solve)
        assert alone.retried == (not ok)
        for one, other in zip(sides, alone.value, strict=True) if ok else ():
            assert one.bias == other.bias
            z = xp.eye(one.dim, dtype='f')[:, :one.dim - one.bias]
            assert_allclose(to_host(one.right(z)), to_host(other.right(z)), rtol=1e-5, atol=1e-5)
    assert first_attempts([]) == []
