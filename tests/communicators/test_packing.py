"""One flat buffer for many arrays: places, triangles, bytes."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from chainer_kfac.communicators.packing import Item, Layout, cut_evenly, split_evenly


def symmetric(random, shape):
    matrix = random.normal(size=shape)
    return matrix + matrix.swapaxes(-1, -2)


ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 3),
                           st.booleans()), max_size=8)


@settings(max_examples=60, deadline=None)
@given(ITEMS, st.sampled_from(['float32', 'float64']), st.integers(0, 10))
def test_unpacking_undoes_packing(items, dtype, seed):
    random = np.random.RandomState(seed)
    parts, arrays = [[] for _ in range(4)], {}
    for key, (rank, n, groups, triangle) in enumerate(items):
        shape = (groups, n, n) if groups else (n, n)
        parts[rank].append(Item(key, shape, triangle))
        arrays[rank, key] = symmetric(random, shape).astype(dtype)
    layout = Layout(parts)
    buffer = np.full(layout.size, np.nan, dtype)
    for (rank, key), array in arrays.items():
        layout.pack(buffer, rank, key, array)
    assert not np.isnan(buffer).any()
    for (rank, key), array in arrays.items():
        assert_array_equal(layout.unpack(buffer, rank, key), array)
        out = np.empty_like(array)
        assert layout.unpack(buffer, rank, key, out=out) is out
        assert_array_equal(out, array)
        own = layout.take(buffer, rank, key)
        assert_array_equal(own, array)
        assert not np.shares_memory(own, buffer)


@settings(max_examples=60, deadline=None)
@given(ITEMS)
def test_the_size_is_the_formula(items):
    parts = [[] for _ in range(4)]
    for key, (rank, n, groups, triangle) in enumerate(items):
        parts[rank].append(Item(key, (groups or 1, n, n), triangle, 'factors'))
    layout = Layout(parts)
    for rank in range(4):
        expected = sum((groups or 1) * (n * (n + 1) // 2 if triangle else n * n)
                       for at, n, groups, triangle in items if at == rank)
        assert layout.counts[rank] == expected
        assert len(layout.part(np.zeros(layout.size), rank)) == expected
    assert layout.bytes_by_purpose(4).get('factors', 0) == 4 * layout.size == 4 * sum(layout.counts)


def test_scale_and_none():
    layout = Layout([[Item('a', (2, 2), True), Item('b', (3,))]])
    buffer = np.empty(layout.size, 'f')
    layout.pack(buffer, 0, 'a', np.array([[1, 2], [2, 3]], 'f'), scale=2)
    layout.pack(buffer, 0, 'b', None)
    assert_array_equal(buffer, [2, 4, 6, 0, 0, 0])


def test_wrong_shapes_and_twice_the_same_are_refused():
    layout = Layout([[Item('a', (2, 2))]])
    with pytest.raises(ValueError, match='shape'):
        layout.pack(np.empty(4), 0, 'a', np.ones((2, 3)))
    with pytest.raises(ValueError, match='twice'):
        Layout([[Item('a', (2,)), Item('a', (2,))]])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=6), st.integers(1, 7))
def test_pieces_cover_everything_once(sizes, parts):
    sizes = dict(enumerate(sizes))
    covered = {key: np.zeros(size) for key, size in sizes.items()}
    pieces = cut_evenly(sizes, parts)
    lengths = [sum(piece.stop - piece.start for _, piece in some) for some in pieces]
    for some in pieces:
        for key, piece in some:
            covered[key][piece] += 1
    assert all((count == 1).all() for count in covered.values())
    assert len(pieces) == parts
    assert max(lengths) - min(lengths) <= 1
    assert [part.stop - part.start for part in split_evenly(sum(sizes.values()), parts)] == lengths


def test_lenet5_factors_take_half():
    widths = [76, 32, 801, 32, 801, 64, 1345, 4096, 4097, 10]
    size = {triangle: Layout([[Item(i, (n, n), triangle) for i, n in enumerate(widths)]]).size
            for triangle in (True, False)}
    assert size[True] == sum(n * (n + 1) // 2 for n in widths)
    assert size[True] <= 0.51 * size[False]
