"""Compiled loops of 2-D max pooling over images with channels last."""
import numba
import numpy as np

from chainer_kfac.functions.compilation import LANES, kernel
from chainer_kfac.functions.pooling_tiles import maximum_tile, scatter_tile


@numba.njit
def _taps(window, stride, pad, size, place):
    """First and last + 1 tap of the window at output ``place`` that lies on the image."""
    start = place * stride - pad
    return max(0, -start), min(window, size - start)


@numba.njit
def _maximum(x, x0, down, right, top, bottom, first, last, window):
    """`maximum_tile` of one channel."""
    best, where = np.float32(-np.inf), 0
    for a in range(top, bottom):
        for b in range(first, last):
            value = x[x0 + a * down + b * right]
            if not value <= best and best == best:
                best, where = value, a * window + b
    return best, where


@kernel('void(i8, i8, f4[::1], UniTuple(i8, 11), f4[::1], u2[::1])')
def max_pooling(start, stop, x, geometry, y, index):
    """Maximum of each window and where it is, as numpy.max and numpy.argmax of the padded window.

    The first of equal numbers counts, a NaN is larger than all numbers, padding is -infinity.
    Images ``start`` to ``stop`` of x (N, H, W, C), flat; y and index (N, H_out, W_out, C), flat.
    ``geometry``: C; H, W; H_out, W_out; window, stride and pad, each rows then columns.
    """
    channels, height, width, out_h, out_w, kh, kw, sy, sx, ph, pw = geometry
    down, vectors = width * channels, channels // LANES * LANES
    for n in range(start, stop):
        for i in range(out_h):
            top, bottom = _taps(kh, sy, ph, height, i)
            for j in range(out_w):
                left, right = _taps(kw, sx, pw, width, j)
                x0 = ((n * height + i * sy - ph) * width + j * sx - pw) * channels
                o0 = ((n * out_h + i) * out_w + j) * channels
                for c in range(0, vectors, LANES):
                    maximum_tile(x, x0 + c, down, channels, top, bottom, left, right, kw,
                                 y, index, o0 + c)
                for c in range(vectors, channels):
                    y[o0 + c], index[o0 + c] = _maximum(
                        x, x0 + c, down, channels, top, bottom, left, right, kw)


@kernel('void(i8, i8, f4[::1], UniTuple(i8, 11), u2[::1], f4[::1])')
def max_pooling_gradient(start, stop, gy, geometry, index, gx):
    """Send each window's gradient to where its maximum was; the arrays as in `max_pooling`."""
    channels, height, width, out_h, out_w, kh, kw, sy, sx, ph, pw = geometry
    down, vectors = width * channels, channels // LANES * LANES
    for n in range(start, stop):
        gx[n * height * down:(n + 1) * height * down] = 0
        for i in range(out_h):
            top, bottom = _taps(kh, sy, ph, height, i)
            for j in range(out_w):
                left, right = _taps(kw, sx, pw, width, j)
                x0 = ((n * height + i * sy - ph) * width + j * sx - pw) * channels
                o0 = ((n * out_h + i) * out_w + j) * channels
                for c in range(0, vectors, LANES):
                    scatter_tile(gy, index, o0 + c, down, channels, top, bottom, left, right, kw,
                                 gx, x0 + c)
                for o in range(o0 + vectors, o0 + channels):
                    a, b = index[o] // kw, index[o] % kw
                    if top <= a < bottom and left <= b < right:
                        gx[x0 + o - o0 + a * down + b * channels] += gy[o]
