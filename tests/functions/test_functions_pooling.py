"""`MaxPoolingND` on kernels against Chainer's own: the same numbers, NaN and ties included."""
import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac import functions

pairs = st.tuples(st.integers(1, 5), st.integers(1, 5))


def run(fast, pool, x):
    with functions.using(fast):
        x = chainer.Variable(x)
        try:
            y = pool(x)
        except Exception as error:
            return type(error)
        y.grad = np.random.RandomState(0).standard_normal(y.shape).astype(x.dtype)
        y.backward()
        return y.array, x.grad


def assert_same(pool, x):
    fast, stock = run(True, pool, x), run(False, pool, x)
    if isinstance(stock, type):
        assert fast is stock
        return
    assert_array_equal(fast[0], stock[0])
    assert_allclose(fast[1], stock[1], rtol=1e-5, atol=1e-6)


def few_values(shape, seed, special):
    """Images of few different values, so that maxima tie; with infinities and NaN if asked."""
    random = np.random.RandomState(seed)
    x = random.randint(-2, 3, shape).astype(np.float32)
    for value in (np.nan, -np.inf, np.inf) if special else ():
        x[random.uniform(size=shape) < 0.1] = value
    return x


@settings(max_examples=150, deadline=None, derandomize=True)
@given(images=st.integers(0, 3), channels=st.sampled_from((1, 3, 16, 17, 40)),
       size=st.tuples(st.integers(1, 12), st.integers(1, 12)), window=pairs, stride=pairs,
       pad=st.tuples(st.integers(0, 6), st.integers(0, 6)), cover_all=st.booleans(),
       special=st.booleans(), last=st.booleans(), seed=st.integers(0, 9))
@example(2, 32, (28, 28), (3, 3), (2, 2), (0, 0), True, False, True, 0)
@example(2, 3, (6, 6), (2, 2), (5, 5), (1, 1), True, True, False, 0)  # stride > window
@example(2, 3, (2, 2), (2, 2), (1, 1), (6, 6), True, True, False, 0)  # windows of padding only
@example(0, 3, (6, 6), (2, 2), (2, 2), (0, 0), True, False, False, 0)  # no images: both refuse
def test_every_geometry_equals_chainer(images, channels, size, window, stride, pad, cover_all,
                                       special, last, seed):
    x = few_values((images, channels, *size), seed, special)
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert_same(lambda x: F.max_pooling_2d(x, window, stride, pad, cover_all), x)


@pytest.mark.parametrize('size', [(7, 7), (8, 8), (5, 11)])
def test_spatial_pyramid(size):
    x = few_values((3, 20, *size), 0, special=False)
    assert_same(lambda x: F.spatial_pyramid_pooling_2d(x, 3, pooling='max'), x)


def test_other_dtypes_numbers_of_axes_and_indices_are_chainer_own():
    x = few_values((2, 3, 8, 8), 0, special=False)
    assert_same(lambda x: F.max_pooling_2d(x, 2), x.astype(np.float64))
    assert_same(lambda x: F.max_pooling_2d(x, 2), x.astype(np.float16))
    assert_same(lambda x: F.max_pooling_1d(x, 2), x[:, :, 0])
    with functions.using():
        _, index = F.max_pooling_2d(x, 2, return_indices=True)
    assert index.dtype == np.int64


def test_gradient_of_a_gradient():
    def penalty_gradient(fast):
        with functions.using(fast):
            x = chainer.Variable(
                np.random.RandomState(0).standard_normal((2, 3, 7, 7)).astype(np.float32))
            y = F.sum(F.max_pooling_2d(x, 3, 2) ** 3)
            gx, = chainer.grad([y], [x], enable_double_backprop=True)
            F.sum(gx * gx).backward()
            return x.grad

    assert_allclose(penalty_gradient(True), penalty_gradient(False), rtol=1e-4, atol=1e-4)


def test_indices_take_two_bytes_at_most():
    with functions.using():
        y = F.max_pooling_2d(chainer.Variable(few_values((2, 3, 8, 8), 0, False)), 2)
    assert y.creator.indexes.dtype.itemsize == 2
    assert y.creator.indexes.shape == y.shape
