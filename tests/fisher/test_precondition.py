"""Every way to a preconditioned gradient against the explicit damped matrices, in float64."""
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.fisher import damping, factors
from chainer_kfac.fisher.precondition import precondition_dense, precondition_rows
from chainer_kfac.fisher.sample_space import RowFactor, RowWindow
from chainer_kfac.fisher.sides import side_of
from chainer_kfac.linalg import Workspace

SIDES = ('inverse', 'solve', 'rows', 'window', 'short window')


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


class Problem:
    """A batch, its factors, and what the damped matrices make of a gradient."""

    def __init__(self, xp, N, n, d, bias, dtype, loss=0.01, seed=0):
        rng = np.random.RandomState(seed)
        self.xp, self.bias, self.N, self.dtype = xp, bias, N, dtype
        self.x, self.gy, self.other_gy = (
            self.given(rows) for rows in (rng.randn(N, d), rng.randn(N, n) / N,
                                          rng.randn(N, n) / N))
        self.W, self.b = self.given(rng.randn(n, d)), self.given(rng.randn(n)) if bias else None
        self.A, self.G = factors.linear_A(self.x, bias), factors.linear_G(self.gy)
        split = damping.pi_of(self.A, self.G)
        self.term_A, self.term_G = damping.terms(loss, split)

    def given(self, array):
        return self.xp.asarray(array.astype(self.dtype))

    def side(self, kind, which):
        """A side of the kind: of A if ``which`` is 0, else of G."""
        rows, scale, matrix, term, bias = (
            (self.x, 1 / self.N, self.A, self.term_A, self.bias) if which == 0 else
            (self.gy, factors.gradient_scale(self.N, self.N), self.G, self.term_G, False))
        if kind in ('inverse', 'solve'):
            side, ok = side_of(matrix, term, bias=bias, solve=kind == 'solve')
        elif kind == 'rows':
            side, ok = RowFactor(rows, scale, bias).damped(term)
        else:
            window = RowWindow(1 if kind == 'short window' else 3, bias)
            window.push(rows, scale, 1.0)
            side, ok = window.damped(term)
        assert ok
        return side

    def joint(self, W, b):
        W = to_host(W).astype('d')
        if not self.bias:
            return W
        return np.c_[W, np.zeros(len(W)) if b is None else to_host(b)]

    def gradient(self, gy):
        """gy^T [x, 1] in float64: float32 would lose what small damping amplifies."""
        gy = to_host(gy).astype('d')
        return self.joint(gy.T @ to_host(self.x), gy.sum(axis=0))

    def expected(self, D):
        """(G + term I)^-1 D (A + term I)^-1 by general solves, in float64."""
        A = factors.linear_A(to_host(self.x).astype('d'), self.bias)
        G = factors.linear_G(to_host(self.gy).astype('d'))
        A += float(self.term_A) * np.eye(len(A))
        G += float(self.term_G) * np.eye(len(G))
        return np.linalg.solve(A.T, np.linalg.solve(G, D).T).T

    def check(self, actual, D, tolerance):
        W, b = actual
        assert W.dtype == self.dtype
        assert (b is not None) == self.bias
        expected = self.expected(D)
        assert_allclose(self.joint(W, b), expected, atol=tolerance * abs(expected).max())


def own(side, rows):
    """None where a side holds the rows itself."""
    return None if hasattr(side, 'rows') else rows


@settings(max_examples=60, deadline=None)
@given(N=st.integers(1, 20), n=st.integers(1, 25), d=st.integers(1, 25), bias=st.booleans(),
       kinds=st.tuples(st.sampled_from(SIDES), st.sampled_from(SIDES)),
       decay=st.sampled_from([0.0, 0.3]), scale=st.sampled_from([1.0, 0.25]),
       decays_bias=st.booleans())
def test_every_way_in_float64(N, n, d, bias, kinds, decay, scale, decays_bias):
    problem = Problem(np, N, n, d, bias, 'd')
    A, G = (problem.side(kind, which) for which, kind in enumerate(kinds))
    x, gy, W = problem.x, problem.gy, problem.W
    b = problem.b if decays_bias else None
    D = problem.gradient(gy)
    total = scale * D + decay * problem.joint(W, b)
    problem.check(precondition_dense(G, A, D[:, :d], D[:, d] if bias else None), D, 1e-9)
    keywords = {'scale': scale, 'decay': decay, 'W': W, 'b': b}
    problem.check(precondition_rows(G, A, own(G, gy), own(A, x), **keywords), total, 1e-9)
    problem.check(precondition_rows(G, A, gy, x, **keywords), total, 1e-9)
    problem.check(precondition_rows(G, A, gy, own(A, x), **keywords), total, 1e-9)
    sampled = scale * problem.gradient(problem.other_gy) + decay * problem.joint(W, b)
    problem.check(precondition_rows(G, A, problem.other_gy, own(A, x), **keywords), sampled, 1e-9)


@pytest.mark.parametrize('kinds', list(itertools.product(SIDES, SIDES)))
def test_every_way_on_every_device(xp, kinds):
    problem = Problem(xp, 6, 9, 4, True, 'd')
    A, G = (problem.side(kind, which) for which, kind in enumerate(kinds))
    D = problem.gradient(problem.gy)
    dense = precondition_dense(G, A, problem.given(D[:, :-1]), problem.given(D[:, -1]))
    problem.check(dense, D, 1e-10)
    rows = precondition_rows(G, A, own(G, problem.gy), own(A, problem.x), decay=0.1, W=problem.W,
                             b=problem.b)
    problem.check(rows, D + 0.1 * problem.joint(problem.W, problem.b), 1e-10)


@pytest.mark.parametrize('n', [40, 10])     # more and fewer outputs than rows are held
def test_a_window_of_several_batches(xp, n):
    """Against explicit inverses of the averages: the gradient and the decay, whole or by rows."""
    rng = np.random.RandomState(0)
    batches = [(xp.asarray(rng.randn(N, 7)), xp.asarray(rng.randn(N, n) / N)) for N in (9, 5, 9)]
    windows, averages = (RowWindow(3, bias=True), RowWindow(3)), [None, None]
    for x, gy in batches:
        new = factors.linear_A(x, True), factors.linear_G(gy)
        scales = 1 / len(x), factors.gradient_scale(len(x), len(x))
        for i, rows in enumerate((x, gy)):
            windows[i].push(rows, scales[i], 0.6)
            averages[i] = new[i] if averages[i] is None else 0.6 * new[i] + 0.4 * averages[i]
    A, G = (window.damped(0.1)[0] for window in windows)
    dense_A, dense_G = (side_of(average, 0.1, bias=bias)[0]
                        for average, bias in zip(averages, (True, False), strict=True))
    W, b = xp.asarray(rng.randn(n, 7)), xp.asarray(rng.randn(n))
    for decay in (0.0, 0.3):
        wanted = precondition_rows(dense_G, dense_A, gy, x, scale=0.5, decay=decay, W=W, b=b)
        for rows in ((None, None), (gy, None), (None, x), (gy, x)):
            found = precondition_rows(G, A, *rows, scale=0.5, decay=decay, W=W, b=b)
            for one, other in zip(found, wanted, strict=True):
                assert_allclose(to_host(one), to_host(other), rtol=1e-9, atol=1e-12)
    wanted = precondition_dense(dense_G, dense_A, W, b)
    for one, other in zip(precondition_dense(G, A, W, b), wanted, strict=True):
        assert_allclose(to_host(one), to_host(other), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('loss', [1e-1, 1e-3, 1e-5])
def test_sample_space_is_stable_in_float32(loss):
    """Where a float32 Cholesky factor of the wide matrix errs by its condition number."""
    problem = Problem(np, 16, 200, 150, True, 'f', loss)
    D = problem.gradient(problem.gy)
    A, G = (problem.side('rows', which) for which in (0, 1))
    problem.check(precondition_rows(G, A), D, 2e-6)
    problem.check(precondition_rows(G, A, decay=1e-3, W=problem.W, b=problem.b),
                  D + 1e-3 * problem.joint(problem.W, problem.b), 2e-6)


def test_results_go_where_they_are_asked_for(xp):
    problem = Problem(xp, 6, 9, 4, True, 'f')
    D = problem.gradient(problem.gy)
    workspace = Workspace()
    for kinds in itertools.product(SIDES, SIDES):
        A, G = (problem.side(kind, which) for which, kind in enumerate(kinds))
        out = xp.full((9, 4), np.nan, 'f'), xp.full(9, np.nan, 'f')
        result = precondition_dense(G, A, problem.given(D[:, :-1]), problem.given(D[:, -1]),
                                    out=out, workspace=workspace)
        assert result is out
        problem.check(out, D, 1e-3)
        for decay in (0.0, 0.1):
            out[0][...], out[1][...] = np.nan, np.nan
            before = [to_host(array).copy() for array in (problem.x, problem.gy, problem.W)]
            precondition_rows(G, A, own(G, problem.gy), own(A, problem.x), out=out, decay=decay,
                              W=problem.W, b=problem.b, workspace=workspace)
            problem.check(out, D + decay * problem.joint(problem.W, problem.b), 1e-3)
            for array, kept in zip((problem.x, problem.gy, problem.W), before, strict=True):
                assert_array_equal(to_host(array), kept)


def test_the_same_twice():
    """The scratch memory of one call leaves no trace in the next."""
    problem, workspace = Problem(np, 6, 9, 4, True, 'f'), Workspace()
    A, G = (problem.side('rows', which) for which in (0, 1))
    first = precondition_rows(G, A, decay=0.1, W=problem.W, b=problem.b)
    for _ in range(2):
        again = precondition_rows(G, A, decay=0.1, W=problem.W, b=problem.b, workspace=workspace)
        assert_array_equal(first[0], again[0])
        assert_array_equal(first[1], again[1])


@pytest.mark.parametrize('solve', [False, True])
@pytest.mark.parametrize('with_column', [False, True])
@pytest.mark.parametrize('bias', [False, True])
def test_a_few_rows_of_a_wide_side(xp, bias, with_column, solve):
    rng = np.random.default_rng(0)
    d, rows = 1100, xp.asarray(rng.standard_normal((3, 1100), 'f'))
    factor = factors.linear_A(xp.asarray(rng.standard_normal((20, d), 'f')), bias)
    side, ok = side_of(factor, 0.5, bias=bias, solve=solve)
    assert ok
    column = xp.asarray(rng.standard_normal(3, 'f')) if bias and with_column else None
    joined = np.zeros((3, d + bias))
    joined[:, :d] = to_host(rows)
    if column is not None:
        joined[:, d] = to_host(column)
    wanted = np.linalg.solve(to_host(factor) + 0.5 * np.eye(d + bias), joined.T).T
    assert_allclose(to_host(side.right(rows, column)), wanted, atol=1e-3)


def test_dense_sides_need_rows():
    problem = Problem(np, 3, 4, 5, False, 'd')
    A, G = (problem.side('inverse', which) for which in (0, 1))
    for gy, x in ((None, problem.x), (problem.gy, None)):
        with pytest.raises(ValueError, match='pass gy and x'):
            precondition_rows(G, A, gy, x)
