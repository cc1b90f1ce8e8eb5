"""A and G against sums over examples and positions in float64."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.fisher import factors
from chainer_kfac.linalg import Workspace

from . import naive_factors
from .naive_factors import to_host

TOLERANCE = {'e': 2e-6, 'f': 2e-6, 'd': 1e-12}


def check(actual, expected, dtype, scale=0.0):
    """Within rounding, relative to the largest element; exactly symmetric; float32 or wider.

    ``scale``: size of what was summed, where the sums may cancel or vanish.
    """
    actual = to_host(actual)
    assert actual.dtype == ('d' if dtype == 'd' else 'f')
    assert actual.shape == expected.shape
    assert_array_equal(actual, actual.swapaxes(-1, -2))
    assert_allclose(actual, expected, atol=TOLERANCE[dtype] * max(scale, abs(expected).max()))


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('dtype', 'efd')
@pytest.mark.parametrize('shape', [(1, 1), (1, 5), (7, 3), (33, 20)])
def test_linear_factors(xp, shape, dtype, bias):
    x = np.random.RandomState(0).randn(*shape).astype(dtype)
    a = np.c_[x, np.ones(len(x))] if bias else x
    A = sum(np.outer(row, row) for row in a.astype('d')) / len(x)
    check(factors.linear_A(xp.asarray(x), bias), A, dtype)
    gy = (np.random.RandomState(1).randn(*shape) / len(x)).astype(dtype)
    G = sum(np.outer(len(x) * row, len(x) * row) for row in gy.astype('d')) / len(x)
    check(factors.linear_G(xp.asarray(gy)), G, dtype)


def test_rows_may_be_positions(xp):
    """N = 3 examples at T = 4 positions each; A sums over positions, G averages."""
    x, gy = np.random.RandomState(0).randn(2, 12, 5)
    A = sum(np.outer(row, row) for row in np.c_[x, np.ones(12)]) / 3
    G = sum(np.outer(3 * row, 3 * row) for row in gy) / 12
    check(factors.linear_A(xp.asarray(x), batch_size=3), A, 'd')
    check(factors.linear_G(xp.asarray(gy), batch_size=3), G, 'd')


def test_the_loss_scale_is_undone(xp):
    gy = xp.asarray(np.random.RandomState(0).randn(6, 4))
    assert_allclose(to_host(factors.linear_G(128 * gy, loss_scale=128)),
                    to_host(factors.linear_G(gy)), rtol=1e-12)
    images = gy.reshape(3, 2, 2, 2)
    assert_allclose(to_host(factors.conv_G(128 * images, loss_scale=128)),
                    to_host(factors.conv_G(images)), rtol=1e-12)


def test_float16_sums_do_not_overflow(xp):
    x = xp.full((4096, 3), 8, 'e')
    assert_allclose(to_host(factors.linear_A(x, False)), np.full((3, 3), 64))
    images = xp.full((4, 2, 64, 64), 8, 'e')
    assert_allclose(to_host(factors.conv_A(images, 1, bias=False)), np.full((2, 2), 64 * 4096))
    assert_allclose(to_host(factors.conv_G(images)), np.full((2, 2), 16 * 64))


sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))
small = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(size=sizes, ksize=st.tuples(st.integers(1, 5), st.integers(1, 5)), dilate=small,
       stride=st.one_of(st.just((1, 1)), small),
       pad=st.tuples(st.integers(0, 6), st.integers(0, 6)), groups=st.integers(1, 3),
       width=st.integers(1, 3), n=st.integers(1, 3), bias=st.booleans(),
       dtype=st.sampled_from('efd'))
def test_convolution_factors(size, ksize, dilate, stride, pad, groups, width, n, bias, dtype):
    x = np.random.RandomState(0).randn(n, groups * width, *size).astype(dtype)
    fits = all(s + 2 * p > d * (k - 1) for s, p, d, k in zip(size, pad, dilate, ksize))
    if not fits:
        with pytest.raises(ValueError, match='does not fit'):
            factors.conv_A(x, ksize, stride, pad, dilate, groups, bias)
        return
    expected = naive_factors.conv_A(x, ksize, stride, pad, dilate, groups, bias)
    actual = factors.conv_A(x, ksize, stride, pad, dilate, groups, bias)
    squares = (x.astype('d') ** 2).sum() / n
    check(actual, expected[0] if groups == 1 else expected, dtype, squares)
    expected = naive_factors.conv_G(x, groups)
    check(factors.conv_G(x, groups), expected[0] if groups == 1 else expected, dtype)


def test_convolution_factors_on_every_device(xp):
    x = np.random.RandomState(0).randn(70, 4, 6, 5).astype('f')
    for groups in (1, 2):
        arguments = (3, 3), (1, 1), (1, 0), (1, 1), groups, True
        expected = naive_factors.conv_A(x, *arguments)
        actual = factors.conv_A(xp.asarray(x), *arguments)
        check(actual, expected[0] if groups == 1 else expected, 'f')


def test_memory_reused_between_batches_and_layers_changes_nothing():
    workspace = Workspace()
    rng = np.random.RandomState(0)
    for _ in range(2):
        for n, c, h, w, k in ((70, 2, 6, 5, 3), (3, 5, 9, 4, 2), (130, 2, 6, 5, 3),
                              (1, 2, 6, 5, 3)):
            x = rng.randn(n, c, h, w)
            assert_array_equal(factors.conv_A(x, k, pad=1, workspace=workspace),
                               factors.conv_A(x, k, pad=1))


def test_images_need_not_be_contiguous(xp):
    x = xp.asarray(np.random.RandomState(0).randn(3, 5, 6, 4)).transpose(0, 3, 1, 2)
    assert_array_equal(to_host(factors.conv_A(x, 3)),
                       to_host(factors.conv_A(xp.ascontiguousarray(x), 3)))
    assert_array_equal(to_host(factors.conv_G(x)), to_host(factors.conv_G(x.copy())))


def test_one_example_is_exact(xp):
    """N = T = 1: the Kronecker product of the factors is the outer product of the gradient."""
    x, gy = xp.asarray(np.random.RandomState(0).randn(2, 1, 4))
    dW = to_host(gy.T @ xp.concatenate([x, xp.ones((1, 1))], axis=1))
    A, G = to_host(factors.linear_A(x)), to_host(factors.linear_G(gy))
    assert_allclose(np.kron(G, A), np.outer(dW, dW), atol=1e-12)


@pytest.mark.parametrize('call', [
    lambda: factors.linear_A(np.ones((2, 3, 4))), lambda: factors.linear_A(np.ones((0, 3))),
    lambda: factors.linear_G(np.ones(3)), lambda: factors.conv_A(np.ones((2, 3)), 1),
    lambda: factors.conv_A(np.ones((0, 3, 4, 4)), 1), lambda: factors.conv_G(np.ones((0, 3, 4, 4))),
    lambda: factors.conv_A(np.ones((2, 3, 4, 4)), 3, groups=2),
    lambda: factors.conv_G(np.ones((2, 3, 4, 4)), 2)])
def test_shapes_that_do_not_fit(call):
    with pytest.raises(ValueError):
        call()
