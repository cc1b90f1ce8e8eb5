"""What the cuSOLVER and cuBLAS calls ask for, checked on a stand-in in host memory."""
import types

import numpy as np
import pytest
from numpy.testing import assert_allclose

from chainer_kfac.linalg import gpu

from .stand_in_gpu import DeviceArray, cupy, libraries


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    found = libraries()
    monkeypatch.setattr(gpu, 'require', lambda name, purpose: found[name])
    monkeypatch.setattr(gpu, 'cuda', types.SimpleNamespace(cupy=cupy()))


def matrix(n, dtype, seed=0):
    rows = np.random.RandomState(seed).randn(2 * n, n)
    return (rows.T @ rows / (2 * n) + 0.5 * np.eye(n)).astype(dtype).view(DeviceArray)


@pytest.mark.parametrize('dtype', 'fd')
def test_factor(dtype):
    work = matrix(6, dtype)
    expected = np.linalg.cholesky(work.astype('d'))
    factor, ok = gpu.cholesky_factor(work)
    assert factor is work
    assert ok
    assert_allclose(np.tril(factor), expected, atol=1e-5)


@pytest.mark.parametrize('dtype', 'fd')
def test_inverse(dtype):
    work = matrix(6, dtype)
    expected = np.linalg.inv(work.astype('d'))
    inverse, ok = gpu.cholesky_inverse(work)
    assert inverse is work
    assert ok
    assert_allclose(inverse, expected, atol=1e-4)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_solve(side):
    work = matrix(6, 'd')
    rhs = np.random.RandomState(1).randn(6, 4)
    expected = np.linalg.solve(work, rhs)
    factor, _ = gpu.cholesky_factor(work)
    rhs = (rhs if side == 'left' else np.ascontiguousarray(rhs.T)).view(DeviceArray)
    result = gpu.cholesky_solve(factor, rhs, side)
    assert result is rhs
    assert_allclose(result if side == 'left' else result.T, expected, atol=1e-12)


def test_statuses():
    assert not gpu.cholesky_factor((-matrix(4, 'f')).view(DeviceArray))[1]
    broken = matrix(4, 'f')
    broken[2, 1] = np.nan
    assert not gpu.cholesky_inverse(broken)[1]


def test_batches():
    works = [matrix(n, dtype, seed) for seed, (n, dtype) in enumerate(
        [(3, 'f'), (5, 'd'), (3, 'f'), (3, 'd'), (3, 'f')])]
    works[2][...] *= -1
    expected = [np.linalg.inv(work.astype('d')) for work in works]
    results = gpu.cholesky_inverses(works)
    assert [bool(ok) for _, ok in results] == [True, True, False, True, True]
    for (inverse, ok), wanted in zip(results, expected, strict=True):
        if ok:
            assert_allclose(inverse, wanted, atol=1e-4)
