"""Compiled loops of 2-D max pooling, vectorised over channels (arrays N, H, W, C)."""
import numba
import numpy as np

from chainer_kfac.functions.compilation import kernel


@numba.njit
def _taps(window, stride, pad, size, place):
    """First and last + 1 tap of the window at output ``place`` that lies on the image."""
    start = place * stride - pad
    return max(0, -start), min(window, size - start)


@kernel('void(i8, i8, f4[:,:,:,::1], UniTuple(i8, 6), f4[:,:,:,::1], u2[:,:,:,::1])')
def max_pooling(start, stop, x, geometry, y, index):
    """Maximum of each window and where it is, as numpy.max and numpy.argmax of the padded window.

    The first of equal numbers counts, a NaN is larger than all numbers, padding is -infinity.
    ``geometry``: window, stride and pad, each rows then columns.
    """
    kh, kw, sy, sx, ph, pw = geometry
    _, height, width, channels = x.shape
    for n in range(start, stop):
        for i in range(y.shape[1]):
            top, bottom = _taps(kh, sy, ph, height, i)
            for j in range(y.shape[2]):
                left, right = _taps(kw, sx, pw, width, j)
                best, where = y[n, i, j], index[n, i, j]
                best[:] = -np.inf
                where[:] = 0
                for a in range(top, bottom):
                    for b in range(left, right):
                        values = x[n, i * sy - ph + a, j * sx - pw + b]
                        tap = np.uint16(a * kw + b)
                        for c in range(channels):
                            larger = (not values[c] <= best[c]) & (best[c] == best[c])
                            best[c] = values[c] if larger else best[c]
                            where[c] = tap if larger else where[c]


@kernel('void(i8, i8, f4[:,:,:,::1], UniTuple(i8, 6), u2[:,:,:,::1], f4[:,:,:,::1])')
def max_pooling_gradient(start, stop, gy, geometry, index, gx):
    """Send each window's gradient to where its maximum was."""
    kh, kw, sy, sx, ph, pw = geometry
    _, height, width, channels = gx.shape
    for n in range(start, stop):
        gx[n] = 0
        for i in range(gy.shape[1]):
            top, bottom = _taps(kh, sy, ph, height, i)
            for j in range(gy.shape[2]):
                left, right = _taps(kw, sx, pw, width, j)
                gradient, where = gy[n, i, j], index[n, i, j]
                for a in range(top, bottom):
                    for b in range(left, right):
                        total = gx[n, i * sy - ph + a, j * sx - pw + b]
                        tap = np.uint16(a * kw + b)
                        for c in range(channels):
                            total[c] += gradient[c] if where[c] == tap else np.float32(0)
