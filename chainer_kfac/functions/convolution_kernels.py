"""Compiled loops of 2-D convolution over images padded one at a time in a small buffer.

Nothing of the size of the whole batch is made beside the result. How offsets, weights and tiles
are laid out is decided in `convolution_plan`, whose fields are the arguments here.
"""
import numba
import numpy as np

from chainer_kfac.functions.compilation import LANES, kernel
from chainer_kfac.functions.tiles import correlation_tile, gradient_tile, height

_correlate_1, _correlate_2, _correlate_4 = (correlation_tile(v) for v in (1, 2, 4))
_gradient_1, _gradient_2, _gradient_4 = (gradient_tile(v) for v in (1, 2, 4))
_ROWS_1, _ROWS_2, _ROWS_4 = (height(v) for v in (1, 2, 4))


@numba.njit
def _correlation(vectors, p, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step):
    if vectors == 1:
        _correlate_1(p, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step)
    elif vectors == 2:
        _correlate_2(p, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step)
    else:
        _correlate_4(p, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step)


@numba.njit
def _gradient(vectors, p, x, x0, down, right, size, g, g0, g_step, out, o0):
    if vectors == 1:
        _gradient_1(p, x, x0, down, right, size[0], size[1], g, g0, g_step, out, o0)
    elif vectors == 2:
        _gradient_2(p, x, x0, down, right, size[0], size[1], g, g0, g_step, out, o0)
    else:
        _gradient_4(p, x, x0, down, right, size[0], size[1], g, g0, g_step, out, o0)


@numba.njit
def _pad_planar(x, n, buffer, window):
    """Image n into ``buffer`` (C, row planes, column planes, rows, pitch), leaving the padding."""
    row_planes, column_planes, top, left, rows, pitch = window
    _, channels, height_, width = x.shape
    for c in range(channels):
        for i in range(max(0, -top), min(height_, rows * row_planes - top)):
            row = i + top
            for remainder in range(column_planes):
                j = (remainder - left) % column_planes
                column = (j + left) // column_planes
                if column < 0:
                    j -= column * column_planes
                    column = 0
                start = (((c * row_planes + row % row_planes) * column_planes + remainder) * rows
                         + row // row_planes) * pitch + column
                count = min((width - j + column_planes - 1) // column_planes, pitch - column)
                if count > 0:
                    source, target = x[n, c, i, j::column_planes], buffer[start:start + count]
                    for k in range(count):
                        target[k] = source[k]


@numba.njit
def _pad_channels_last(x, n, buffer, window):
    """Image n into ``buffer`` (rows, pitch, C), leaving the padding."""
    _, top, left, rows, pitch, _, _ = window
    _, channels, height_, width = x.shape
    for i in range(min(height_, rows - top)):
        for j in range(min(width, pitch - left)):
            start = ((i + top) * pitch + j + left) * channels
            source, target = x[n, :, i, j], buffer[start:start + channels]
            for c in range(channels):
                target[c] = source[c]


@numba.njit
def _add_pixels(gy, g0, step, pixels, total):
    """total[c] += sum of channel c over an image, in a sum of its own to keep it accurate."""
    image = np.zeros(total.size, np.float32)
    for p in range(pixels):
        pixel = gy[g0 + p * step:g0 + p * step + total.size]
        for c in range(pixel.size):
            image[c] += pixel[c]
    total += image


@numba.njit
def _copy_lanes(gy, g0, step, pixels, valid, spill, width):
    for p in range(pixels):
        spill[p * width:p * width + valid] = gy[g0 + p * step:g0 + p * step + valid]


@kernel('void(i8, i8, f4[:,:,:,:], f4[::1], f4[::1], i8[::1], i8[:,::1], '
        'UniTuple(i8, 6), UniTuple(i8, 4), f4[::1])')
def correlate(start, stop, x, w, init, taps, phases, window, groups, out):
    """Correlate images ``start`` to ``stop`` of x (N, C, H, W) into ``out``, channels last."""
    row_planes, column_planes, _, _, rows, pitch = window
    number, read, written, vectors = groups
    width = vectors * LANES
    plane = row_planes * column_planes * rows * pitch
    image = number * read * plane
    buffer = np.zeros(image, np.float32)
    spill = np.empty(_ROWS_1 * 4 * LANES, np.float32)
    most = _ROWS_1 if vectors == 1 else _ROWS_2 if vectors == 2 else _ROWS_4
    size = out.size // len(x)
    for n in range(start, stop):
        _pad_planar(x, n, buffer, window)
        for phase in range(len(phases)):
            t0, t1, w0 = phases[phase, 0], phases[phase, 1], phases[phase, 2]
            height_, columns, o0 = phases[phase, 3], phases[phase, 4], phases[phase, 5]
            down, right = phases[phase, 6], phases[phase, 7]
            pieces = (columns + most - 1) // most
            tile = (columns + pieces - 1) // pieces
            for group in range(number):
                for channel in range(0, written, width):
                    i0 = group * ((written + width - 1) // width) * width + channel
                    weight = w0 + i0 * (t1 - t0)
                    valid = min(width, written - channel)
                    first = n * size + o0 + group * written + channel
                    for i in range(height_):
                        for j in range(0, columns, tile):
                            p = min(tile, columns - j)
                            x0 = group * read * plane + i * pitch + j
                            o = first + i * down + j * right
                            if valid == width:
                                _correlation(vectors, p, buffer, x0, taps, t0, t1, w, weight,
                                             init, i0, out, o, right)
                            else:
                                _correlation(vectors, p, buffer, x0, taps, t0, t1, w, weight,
                                             init, i0, spill, 0, width)
                                for q in range(p):
                                    place = o + q * right
                                    out[place:place + valid] = spill[q * width:q * width + valid]


@kernel('void(i8, f4[:,:,:,:], f4[::1], UniTuple(i8, 7), UniTuple(i8, 5), i8[::1], i8, '
        'UniTuple(i8, 2), f4[:,:,:,:,::1], f4[:,::1])')
def weight_gradient(task, x, gy, window, groups, runs, run, out_size, gw, gb):
    """Add one task's share of the gradients of the weights and of the bias.

    Task numbers count parts of the batch, groups and blocks of output channels, blocks fastest:
    the leading axes of gw (parts, groups, blocks, weights, lanes), which holds zeros at first, as
    gb (parts, output channels) does. gy: output gradient, channels last.
    """
    last, _, _, rows, pitch, down, right = window
    number, read, written, vectors, tile = groups
    parts, _, blocks, weights, width = gw.shape
    part, group, block = task // (number * blocks), task // blocks % number, task % blocks
    pixels = out_size[0] * out_size[1]
    step = number * written
    channel = group * written + block * width
    valid = min(width, written - block * width)
    x0 = group * read if last else group * read * rows * pitch
    buffer = np.zeros(number * read * rows * pitch, np.float32)
    spill = np.zeros(pixels * width if valid < width else 0, np.float32)
    total = gw[part, group, block].reshape(weights * width)
    for n in range(len(x) * part // parts, len(x) * (part + 1) // parts):
        if last:
            _pad_channels_last(x, n, buffer, window)
        else:
            _pad_planar(x, n, buffer, (1, 1, window[1], window[2], rows, pitch))
        g0 = n * pixels * step + channel
        _add_pixels(gy, g0, step, pixels, gb[part, channel:channel + valid])
        for r in range(len(runs)):
            for t in range(0, run, tile):
                o0 = (r * run + t) * width
                p = min(tile, run - t)
                if valid == width:
                    _gradient(vectors, p, buffer, x0 + runs[r] + t, down, right, out_size,
                              gy, g0, step, total, o0)
                else:
                    if r == 0 and t == 0:
                        _copy_lanes(gy, g0, step, pixels, valid, spill, width)
                    _gradient(vectors, p, buffer, x0 + runs[r] + t, down, right, out_size,
                              spill, 0, width, total, o0)
