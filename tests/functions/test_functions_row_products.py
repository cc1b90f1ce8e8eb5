"""A few rows times a wide matrix against NumPy's product."""
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.functions import row_products
from chainer_kfac.functions.row_products import MOST, WIDE


def product(rows, matrix):
    out = np.full((len(rows), matrix.shape[1]), np.nan, np.float32)
    assert row_products.multiply(rows, matrix, out)
    return out


@pytest.mark.parametrize('k, n', [(WIDE, WIDE), (WIDE + 1, WIDE + 1), (WIDE + 13, WIDE + 31)])
@pytest.mark.parametrize('r', [1, 2, 10, MOST // 2, MOST // 2 + 1, MOST])
def test_product(r, k, n):
    random = np.random.default_rng(r)
    rows, matrix = random.standard_normal((r, k), 'f'), random.standard_normal((k, n), 'f')
    assert_allclose(product(rows, matrix), rows.astype('d') @ matrix, atol=1e-3)


def test_threads_do_not_matter(monkeypatch):
    random = np.random.default_rng(0)
    rows, matrix = random.standard_normal((3, WIDE), 'f'), random.standard_normal((WIDE, WIDE), 'f')
    results = []
    for threads in ('1', '2', '5'):
        monkeypatch.setenv('OMP_NUM_THREADS', threads)
        results.append(product(rows, matrix))
    assert_array_equal(results[0], results[1])
    assert_array_equal(results[0], results[2])


def test_a_nan_stays_in_its_column():
    matrix = np.ones((WIDE, WIDE), 'f')
    matrix[5, 7] = np.nan
    found = product(np.ones((2, WIDE), 'f'), matrix)
    assert np.isnan(found[:, 7]).all()
    assert np.isfinite(np.delete(found, 7, axis=1)).all()


@pytest.mark.parametrize('change', [
    lambda rows, matrix, out: (
        np.ones((MOST + 1, WIDE), 'f'), matrix, np.ones((MOST + 1, WIDE), 'f')),
    lambda rows, matrix, out: (rows[:0], matrix, out[:0]),
    lambda rows, matrix, out: (rows.astype('d'), matrix, out),
    lambda rows, matrix, out: (rows, matrix.T, out),
    lambda rows, matrix, out: (rows, matrix, out[:, ::2]),
    lambda rows, matrix, out: (rows[:, 1:].copy(), matrix[1:], out),
])
def test_what_it_leaves_to_numpy(change):
    arrays = np.ones((2, WIDE), 'f'), np.ones((WIDE, WIDE), 'f'), np.zeros((2, WIDE), 'f')
    rows, matrix, out = change(*arrays)
    before = out.copy()
    assert not row_products.multiply(rows, matrix, out)
    assert_array_equal(out, before)
