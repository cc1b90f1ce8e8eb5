"""The second moment of patches without patches: sums of lagged products, windows, assembly."""
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.fisher import autocorrelation, spectrum
from chainer_kfac.fisher.assembly import assemble, assemble_by_product
from chainer_kfac.fisher.autocorrelation import (
    MomentSums,
    explicit_second_moment,
    spectral_second_moment,
)
from chainer_kfac.fisher.spectrum import Chunks, LagSums
from chainer_kfac.fisher.windows import Axis
from chainer_kfac.functions import threads
from chainer_kfac.linalg import Workspace

from .naive_factors import conv_A, to_host


def lagged_products(images, u, v):
    """sum_n sum_yx x[n, g, c, y, x] x[n, g, c', y + u, x + v], (g, c, c')."""
    h, w = images.shape[3:]
    base = images[..., max(0, -u):h - max(0, u), max(0, -v):w - max(0, v)]
    shifted = images[..., max(0, u):h - max(0, -u), max(0, v):w - max(0, -v)]
    return np.einsum('ngcyx,ngdyx->gcd', base, shifted)


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
       reach=st.tuples(st.integers(0, 4), st.integers(0, 4)),
       step=st.tuples(st.integers(1, 3), st.integers(1, 3)), groups=st.integers(1, 2),
       channels=st.integers(1, 3), n=st.integers(1, 5), rows=st.integers(1, 3))
def test_lag_sums(size, reach, step, groups, channels, n, rows):
    images = np.random.RandomState(0).randn(n, groups, channels, *size)
    sums = LagSums(size, groups, channels, reach, step, np, images.dtype)
    sums._group_rows = rows
    chunks = Chunks(images.transpose(3, 4, 0, 1, 2), 2)
    result = sums(chunks, 0.5, Workspace())
    assert_array_equal(result, result[::-1].swapaxes(-1, -2))
    result = result.reshape(*sums.lag_shape, groups, channels, channels)
    for i, u in enumerate(range(-reach[0], reach[0] + 1)):
        for j, v in enumerate(range(-reach[1], reach[1] + 1)):
            u_pixels, v_pixels = u * step[0], v * step[1]
            inside = abs(u_pixels) < size[0] and abs(v_pixels) < size[1]
            expected = 0.5 * lagged_products(images, u_pixels, v_pixels) if inside else 0
            assert_allclose(result[i, j], np.broadcast_to(expected, result[i, j].shape),
                            atol=1e-12 * images.size)


@pytest.mark.parametrize('size, k, pad, dilate', [
    (7, 5, 2, 1), (7, 5, 0, 1), (7, 3, 1, 2), (2, 5, 2, 1), (3, 2, 4, 3), (5, 1, 0, 1),
    (6, 4, 1, 1)])
def test_a_window_is_the_image_without_what_it_leaves_out(size, k, pad, dilate):
    axis = Axis(size, k, pad, dilate)
    out = size + 2 * pad - dilate * (k - 1)
    for first in range(k):
        for second in range(k):
            lag = (second - first) * dilate
            everywhere = {(i, i + lag) for i in range(size) if 0 <= i + lag < size}
            window = {(i, i + lag) for i in range(first * dilate - pad, first * dilate - pad + out)}
            left_out = [(axis.ends[end].start + i, axis.ends[end].start + j)
                        for end, i, j in axis.left_out(first, second)]
            assert len(left_out) == len(set(left_out))
            assert everywhere - set(left_out) == everywhere & window
            assert all(0 <= i < axis.border and 0 <= j < axis.border
                       for _, i, j in axis.left_out(first, second))


def test_borders_only_where_needed():
    assert Axis(9, 5, 4, 1).ends == []
    assert Axis(9, 5, 7, 1).border == 0
    assert Axis(9, 5, 2, 1).ends == [slice(0, 2), slice(7, 9)]
    with pytest.raises(ValueError, match='does not fit in 3 pixels padded by 0'):
        Axis(3, 4, 0, 1)


@pytest.mark.parametrize('groups, c', [(1, 1), (1, 3), (2, 2)])
def test_both_ways_of_assembly_agree(xp, groups, c):
    x = xp.asarray(np.random.RandomState(0).randn(4, groups * c, 5, 4))
    sums = MomentSums(x.shape[1:], (3, 3), (1, 0), 1, groups, xp, x.dtype)
    values = sums(x, Workspace())
    size = groups, 9 * c + 1, 9 * c + 1
    first, second = np.full(size, np.nan), xp.full(size, np.nan)
    assemble(sums.terms, to_host(values), first[:, :-1, :-1])
    assemble_by_product(xp.asarray(sums.terms.dense()), values, second[:, :-1, :-1])
    second = to_host(second)
    assert np.isnan(first[:, -1]).all()
    assert np.isnan(second[:, :, -1]).all()
    assert_allclose(first, second, atol=1e-13)


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
       ksize=st.tuples(st.integers(1, 5), st.integers(1, 5)),
       dilate=st.tuples(st.integers(1, 3), st.integers(1, 3)),
       pad=st.tuples(st.integers(0, 6), st.integers(0, 6)), groups=st.integers(1, 3),
       width=st.integers(1, 3), n=st.integers(1, 3), bias=st.booleans())
def test_spectral_equals_the_definition(size, ksize, dilate, pad, groups, width, n, bias):
    x = np.random.RandomState(0).randn(n, groups * width, *size)
    assume(all(s + 2 * p > d * (k - 1) for s, p, d, k in zip(size, pad, dilate, ksize)))
    expected = conv_A(x, ksize, (1, 1), pad, dilate, groups, bias)
    actual = spectral_second_moment(x, ksize, pad, dilate, groups, bias)
    assert_array_equal(actual, actual.swapaxes(-1, -2))
    assert_allclose(actual, expected, atol=1e-12 * max(1, (x ** 2).sum()))


@pytest.mark.parametrize('k, pad, size', [(5, 2, (14, 14)), (5, 0, (9, 7)), (3, 1, (8, 9)),
                                          (5, 4, (6, 6)), ((1, 5), (0, 2), (4, 9)),
                                          ((2, 3), (5, 0), (3, 3))])
@pytest.mark.parametrize('dtype, tolerance', [('d', 1e-13), ('f', 3e-6)])
def test_spectral_equals_explicit(xp, k, pad, size, dtype, tolerance):
    x = np.maximum(np.random.RandomState(0).randn(65, 6, *size), 0).astype(dtype)
    for groups, bias in ((1, True), (3, False)):
        expected = explicit_second_moment(x.astype('d'), k, 1, pad, 1, groups, bias)
        actual = to_host(spectral_second_moment(xp.asarray(x), k, pad, 1, groups, bias))
        assert actual.dtype == dtype
        assert_array_equal(actual, actual.swapaxes(-1, -2))
        assert_allclose(actual, expected, atol=tolerance * abs(expected).max())


def test_chunks_and_groups_of_frequencies_do_not_matter(monkeypatch):
    x = np.random.RandomState(0).randn(7, 3, 6, 5)
    expected = conv_A(x, (3, 2), (1, 1), (1, 0), (1, 1), 1, True)
    for examples, size in ((1, 1), (3, 1), (7, 1 << 12), (64, 1 << 26)):
        monkeypatch.setattr(autocorrelation, '_CHUNK_EXAMPLES', examples)
        monkeypatch.setattr(spectrum, '_SUMS_BYTES', size)
        actual = spectral_second_moment(x, (3, 2), (1, 0), 1, 1, True)
        assert_allclose(actual, expected, atol=1e-12)
        monkeypatch.setattr(autocorrelation, '_CHUNK_ELEMENTS', size)
        assert_allclose(explicit_second_moment(x, (3, 2), 1, (1, 0)), expected, atol=1e-12)


@pytest.mark.parametrize('shape, k, pad, groups, pays', [
    ((128, 3, 28, 28), 5, 2, 1, True), ((128, 32, 14, 14), 5, 2, 1, True),
    ((128, 32, 7, 7), 5, 2, 1, True), ((2048, 32, 7, 7), 5, 2, 1, True),
    ((32, 256, 14, 14), 3, 1, 1, True), ((8, 512, 7, 7), 3, 1, 1, False),
    ((8, 128, 14, 14), 3, 1, 128, True), ((1, 64, 3, 3), 3, 1, 1, False),
    ((64, 8, 9, 9), 1, 0, 1, False)])
def test_the_faster_way_is_taken(shape, k, pad, groups, pays, monkeypatch):
    assert autocorrelation.spectral_pays(shape, k, pad, 1, groups) is pays
    way = 'spectral_second_moment' if pays else 'explicit_second_moment'
    monkeypatch.setattr(autocorrelation, way, lambda *_, **__: 'taken')
    x = np.broadcast_to(np.float32(0), shape)
    assert autocorrelation.patch_second_moment(x, k, 1, pad, 1, groups) == 'taken'


def test_the_number_of_threads_does_not_matter(monkeypatch):
    x = np.random.RandomState(0).randn(400, 3, 6, 5).astype('f')
    results = []
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, 'count', lambda count=count: count)
        results.append(spectral_second_moment(x, 3, 1))
    assert_array_equal(results[0], results[1])
    assert_array_equal(results[0], results[2])


def test_a_float32_moment_stays_positive_semidefinite_up_to_rounding():
    x = np.random.RandomState(0).rand(64, 8, 10, 10).astype('f')
    moment = spectral_second_moment(x, 5, 2)[0]
    values = np.linalg.eigvalsh(moment.astype('d'))
    assert values.min() > -1e-6 * values.max()
