"""Eigenvalues of a factor do not depend on how it is kept."""
import numpy as np
import pytest
from numpy.testing import assert_allclose

from chainer_kfac.fisher.eigenvalues import eigenvalues
from chainer_kfac.fisher.moving import as_matrix, move_window


def window(width, bias, length=2):
    random = np.random.default_rng(0)
    average = None
    for size in (4, 4, 3):
        rows = random.standard_normal((size, width)).astype(np.float32)
        average = move_window(average, rows, 1 / size, 0.7, length=length, bias=bias)
    return average


def test_of_a_known_matrix():
    basis, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))
    values = np.array([0.0, 1.0, 2.0, 5.0, 9.0])
    assert_allclose(eigenvalues(basis * values @ basis.T), [values], atol=1e-12)


def test_groups_are_apart():
    stack = np.stack([np.diag([1.0, 2.0]), np.diag([4.0, 3.0])])
    assert_allclose(eigenvalues(stack), [[1, 2], [3, 4]])


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('width', [20, 8, 7, 3])
def test_of_rows_as_of_the_matrix_they_make(width, bias):
    average = window(width, bias)
    found = eigenvalues(average)
    assert found.shape == (1, width + bias)
    assert found.dtype == np.float32
    assert (np.diff(found) >= 0).all()
    assert_allclose(found, eigenvalues(as_matrix(average)), atol=1e-5)
    assert found.sum() == pytest.approx(float(average.trace), rel=1e-5)
    assert (found > 1e-4).sum() <= len(average.rows)


def test_the_average_is_left_alone():
    average = window(20, True)
    before = average.rows.copy(), average.gram.copy()
    eigenvalues(average)
    assert all(np.array_equal(*pair) for pair in zip(before, (average.rows, average.gram)))
