"""Compiled update rules: one pass over memory instead of one for each operation.

The operations and their order are Chainer's, so that every bit of the result is.
"""
import numpy as np

from chainer_kfac.functions.compilation import kernel


@kernel('void(i8, i8, f4[::1], f4[::1], f4[::1], f4, f4)')
def momentum_sgd(start, stop, w, v, g, lr, momentum):
    """v = momentum * v - lr * g; w += v."""
    w, v, g = w[start:stop], v[start:stop], g[start:stop]
    for i in range(w.size):
        v[i] = momentum * v[i] - lr * g[i]
        w[i] += v[i]


@kernel('void(i8, i8, f4[::1], f4[::1], f4[::1], f4[::1], f4, f4, f4, f4, f4, f4)')
def adam(start, stop, w, m, v, g, alpha, first, second, eps, eta, keep):
    """m += first * (g - m); v += second * (g^2 - v); w = keep * w - eta * step * m.

    step = alpha / (sqrt(v) + eps); ``first`` and ``second`` are 1 - beta1 and 1 - beta2, ``keep``
    is 1 - eta * weight decay.
    """
    w, m, v, g = w[start:stop], m[start:stop], v[start:stop], g[start:stop]
    for i in range(w.size):
        m[i] += first * (g[i] - m[i])
        v[i] += second * (g[i] * g[i] - v[i])
        w[i] = keep * w[i] + -eta * (alpha / (np.sqrt(v[i]) + eps) * m[i])


@kernel('void(i8, i8, f4[::1], f4[::1], f4)')
def add_scaled(start, stop, g, w, rate):
    """g += rate * w."""
    g, w = g[start:stop], w[start:stop]
    for i in range(g.size):
        g[i] += rate * w[i]
