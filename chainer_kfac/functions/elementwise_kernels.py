"""Compiled loops over arrays of any shape, seen as one row of numbers in memory order."""
import numpy as np

from chainer_kfac.functions.compilation import kernel

LEAST = 1 << 15
"""Numbers that are worth a thread of their own."""


@kernel('void(i8, i8, f4[::1], f4[::1])')
def relu(start, stop, x, y):
    """y = max(x, 0); NaN stays NaN."""
    x, y = x[start:stop], y[start:stop]
    for i in range(x.size):
        y[i] = np.float32(0) if x[i] <= 0 else x[i]


@kernel('void(i8, i8, f4[::1], f4[::1], f4[::1])')
def relu_gradient(start, stop, y, gy, gx):
    """gx = gy * (y > 0), a product: a NaN or infinite gradient is not hidden where y is 0."""
    y, gy, gx = y[start:stop], gy[start:stop], gx[start:stop]
    for i in range(y.size):
        gx[i] = gy[i] * (np.float32(1) if y[i] > 0 else np.float32(0))


@kernel('void(i8, i8, f8[::1], f8, f4, f4[::1], f4[::1], f4[::1])')
def dropout(start, stop, uniform, ratio, scale, x, mask, y):
    """mask = scale * (uniform >= ratio); y = x * mask."""
    uniform, x, mask, y = uniform[start:stop], x[start:stop], mask[start:stop], y[start:stop]
    for i in range(x.size):
        mask[i] = scale if uniform[i] >= ratio else np.float32(0)
        y[i] = x[i] * mask[i]
