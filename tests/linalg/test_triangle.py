"""Packed triangles and mirrored ones."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from chainer_kfac.linalg import mirror_lower, pack_triangle, triangle_size, unpack_triangle


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


@pytest.mark.parametrize('n', [0, 1, 2, 3, 255, 256, 257, 700])
def test_mirror(xp, n):
    matrix = np.random.RandomState(0).randn(n, n)
    lower = np.tril(matrix)
    result = to_host(mirror_lower(xp.asarray(matrix)))
    assert_array_equal(result, lower + np.tril(matrix, -1).T)


@pytest.mark.parametrize('dtype', 'efd')
@pytest.mark.parametrize('n', [1, 2, 5, 130])
def test_there_and_back(xp, n, dtype):
    matrix = np.random.RandomState(0).randn(n, n).astype(dtype)
    matrix = xp.asarray(matrix + matrix.T)
    flat = pack_triangle(matrix)
    assert flat.shape == (triangle_size(n),) == (n * (n + 1) // 2,)
    assert_array_equal(to_host(flat), to_host(matrix)[np.triu_indices(n)])
    assert_array_equal(to_host(unpack_triangle(flat)), to_host(matrix))


def test_slices_of_one_flat_buffer(xp):
    first, second = xp.asarray([[1., 2], [2, 3]]), xp.asarray([[4., 5, 6], [5, 7, 8], [6, 8, 9]])
    buffer = xp.zeros(11)
    assert pack_triangle(first, buffer[1:4]).base is buffer
    pack_triangle(second, buffer[4:10])
    assert_array_equal(to_host(buffer), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    out = xp.empty((3, 3))
    assert unpack_triangle(buffer[4:10], out) is out
    assert_array_equal(to_host(out), to_host(second))


def test_lengths_that_do_not_fit(xp):
    with pytest.raises(ValueError, match='width 3 has 6'):
        pack_triangle(xp.eye(3), xp.empty(5))
    with pytest.raises(ValueError, match='elements'):
        unpack_triangle(xp.empty(5))
    with pytest.raises(ValueError, match='width 2 has 3'):
        unpack_triangle(xp.empty(6), xp.empty((2, 2)))
