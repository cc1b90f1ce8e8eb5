"""Chainer's momentum SGD and Adam are the paper's (equations 1 and 2; Kingma and Ba)."""
import chainer
import numpy as np
import pytest
from numpy.testing import assert_allclose


def gradients(steps):
    return np.random.RandomState(1).normal(size=(steps, 4, 3))


def run(optimizer, w, steps):
    link = chainer.Link()
    with link.init_scope():
        link.w = chainer.Parameter(w.copy())
    optimizer.setup(link)
    for g in gradients(steps):
        link.w.grad = g.astype(w.dtype)
        optimizer.update()
    return link.w.array


@pytest.mark.parametrize('dtype, tolerance', [('float64', 1e-14), ('float32', 1e-5)])
def test_momentum_sgd(dtype, tolerance):
    """m <- alpha m - eps grad; w <- w + m."""
    w = np.random.RandomState(0).normal(size=(4, 3)).astype(dtype)
    found = run(chainer.optimizers.MomentumSGD(lr=0.05, momentum=0.8), w, 7)
    m, w = 0.0, w.astype(np.float64)
    for g in gradients(7):
        m = 0.8 * m - 0.05 * g
        w = w + m
    assert_allclose(found, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('dtype, tolerance', [('float64', 1e-9), ('float32', 1e-5)])
def test_adam(dtype, tolerance):
    """m and v are averages of grad and grad^2; w <- w - eta alpha_t m / (sqrt(v) + eps).

    alpha_t = alpha sqrt(1 - beta2^t) / (1 - beta1^t), Chainer's order of the correction.
    """
    w = np.random.RandomState(0).normal(size=(4, 3)).astype(dtype)
    alpha, beta1, beta2, eta, eps = 0.02, 0.85, 0.97, 0.7, 1e-6
    found = run(chainer.optimizers.Adam(
        alpha=alpha, beta1=beta1, beta2=beta2, eta=eta, eps=eps), w, 7)
    m = v = 0.0
    w = w.astype(np.float64)
    for t, g in enumerate(gradients(7), 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g ** 2
        alpha_t = alpha * np.sqrt(1 - beta2 ** t) / (1 - beta1 ** t)
        w = w - eta * alpha_t * m / (np.sqrt(v) + eps)
    assert_allclose(found, w, rtol=tolerance, atol=tolerance)
