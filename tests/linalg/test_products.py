"""x^T x and out += a^T b against plain products."""
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_info, threadpool_limits

from chainer_kfac.linalg import add_product, single_threaded_blas, symmetric_product

TOLERANCE = {'f': 1e-5, 'd': 1e-13}


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


def rows(xp, shape, dtype, order):
    array = np.random.RandomState(0).randn(*shape).astype(dtype)
    if order == 'strided':
        return xp.asarray(np.repeat(array, 2, axis=1))[:, ::2]
    return xp.array(array, order=order)


@pytest.mark.parametrize('order', ['C', 'F', 'strided'])
@pytest.mark.parametrize('dtype', 'fd')
@pytest.mark.parametrize('shape', [(1, 1), (1, 6), (9, 1), (40, 7), (7, 150), (300, 131)])
def test_symmetric_product(xp, shape, dtype, order):
    x = rows(xp, shape, dtype, order)
    expected = to_host(x).astype('d').T @ to_host(x)
    scale = abs(expected).max()
    product = symmetric_product(x)
    assert product.dtype == dtype
    assert_array_equal(to_host(product), to_host(product).T)
    assert_allclose(to_host(product), expected, atol=TOLERANCE[dtype] * scale)
    out = xp.full((shape[1],) * 2, np.nan, dtype)
    assert symmetric_product(x, out=out, scale=0.5) is out
    assert_allclose(to_host(out), 0.5 * expected, atol=TOLERANCE[dtype] * scale)
    out[np.triu_indices(len(out), 1)] = np.nan
    symmetric_product(x, out=out, scale=2.0, keep=0.5)
    assert_array_equal(to_host(out), to_host(out).T)
    assert_allclose(to_host(out), 2.25 * expected, atol=3 * TOLERANCE[dtype] * scale)


def test_no_rows_make_a_zero_matrix(xp):
    out = xp.ones((3, 3))
    symmetric_product(xp.empty((0, 3)), out=out, keep=0.5)
    assert_array_equal(to_host(out), np.full((3, 3), 0.5))
    symmetric_product(xp.empty((0, 3)), out=out)
    assert_array_equal(to_host(out), np.zeros((3, 3)))


@pytest.mark.parametrize('dtype', 'fd')
@pytest.mark.parametrize('k, n, m', [(1, 1, 1), (5, 3, 8), (130, 20, 1), (0, 2, 3)])
def test_add_product(xp, k, n, m, dtype):
    rng = np.random.RandomState(0)
    a, b, out = (xp.asarray(rng.randn(*shape).astype(dtype))
                 for shape in ((k, n), (k, m), (n, m)))
    expected = to_host(out).astype('d') + to_host(a).astype('d').T @ to_host(b)
    assert add_product(a, b, out) is out
    assert_allclose(to_host(out), expected, atol=TOLERANCE[dtype] * 50)
    wide = xp.asarray(rng.randn(k, m + 2).astype(dtype))
    expected += to_host(a).astype('d').T @ to_host(wide)[:, 1:-1]
    add_product(a, wide[:, 1:-1], out)
    assert_allclose(to_host(out), expected, atol=TOLERANCE[dtype] * 50)


def test_arguments_that_do_not_fit(xp):
    x = xp.ones((4, 3))
    for arguments in ({'x': xp.ones(3)}, {'x': x.astype('e')}, {'x': x, 'keep': 1.0},
                      {'x': x, 'out': xp.empty((4, 4))}, {'x': x, 'out': xp.empty((3, 3), 'f')},
                      {'x': x, 'out': xp.empty((6, 6))[::2, ::2]}):
        with pytest.raises(ValueError):
            symmetric_product(**arguments)
    for a, b, out in ((x, x, xp.ones((4, 4))), (x, x.astype('f'), xp.ones((3, 3))),
                      (x, x, xp.ones((6, 3))[::2])):
        with pytest.raises(ValueError, match='cannot add'):
            add_product(a, b, out)


def test_blas_threads_come_back():
    def counts():
        return [library['num_threads'] for library in threadpool_info()
                if library['user_api'] == 'blas']

    with threadpool_limits(2):
        before = counts()
        with single_threaded_blas():
            assert set(counts()) == {1}
        assert counts() == before
        with pytest.raises(ZeroDivisionError), single_threaded_blas():
            raise ZeroDivisionError
        assert counts() == before
