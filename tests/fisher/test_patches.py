"""Patches against loops, and against what Chainer's convolution does with them."""
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.fisher.patches import im2col, out_size, pair

from .naive_factors import patches, to_host

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=30, deadline=None)
@given(ksize=pairs, stride=pairs, dilate=pairs,
       size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
       pad=st.tuples(st.integers(0, 3), st.integers(0, 3)), n=st.integers(1, 2),
       c=st.integers(1, 3))
def test_loops_and_convolution(ksize, stride, pad, dilate, size, n, c):
    x = np.random.RandomState(0).randn(n, c, *size)
    shape = [out_size(*sizes) for sizes in zip(size, ksize, stride, pad, dilate)]
    if min(shape) < 1:
        with pytest.raises(ValueError, match='does not fit'):
            im2col(x, ksize, stride, pad, dilate)
        return
    rows = im2col(x, ksize, stride, pad, dilate)
    assert_array_equal(rows, [patch for _, patch in patches(x, ksize, stride, pad, dilate)])
    W = np.random.RandomState(1).randn(4, c, *ksize)
    y = F.convolution_2d(x, W, stride=stride, pad=pad, dilate=dilate).array
    assert y.shape[2:] == tuple(shape)
    assert_allclose(rows @ W.reshape(4, -1).T, y.transpose(0, 2, 3, 1).reshape(-1, 4), atol=1e-12)


def test_numbers_stand_for_pairs(xp):
    x = xp.arange(2 * 36.0).reshape(1, 2, 6, 6)
    assert_array_equal(to_host(im2col(x, 2, 3, 1, 2)),
                       to_host(im2col(x, (2, 2), (3, 3), (1, 1), (2, 2))))
    assert pair(3) == pair((3, 3)) == pair([3, 3]) == (3, 3)


def test_the_result_is_new_memory(xp):
    x = xp.ones((1, 1, 2, 2))
    im2col(x, 1)[...] = 7
    assert float(x.max()) == 1
