"""Bilinear sampling of a batch of images along one affine map an image.

`sample_xp` is the definition, one code path for NumPy and CuPy; `sample` replaces it by a compiled
loop where the images lie in host memory. Output row i, column j of image n is

    (r, c) = (i + corner[n, 0], j + corner[n, 1])
    y[n, k, i, j] = (x[n, k] at matrix[n] @ (r, c, 1) + shift[n, k]) * scale[k]

if (r, c) lies on the image, else 0. "At" is bilinear, with the edge pixels continued outwards.
"""
import numpy as np
from chainer import backend

from chainer_kfac.functions import threads
from chainer_kfac.functions.compilation import kernel

LEAST = 32
"""Images that are worth a thread of their own."""


def sample(x, matrix: np.ndarray, corner: np.ndarray, size: int, shift: np.ndarray,
           scale: np.ndarray):
    """Sample, shift and scale each image.

    Args:
        x (array, (N, C, H, W), uint8): NumPy or CuPy, H and W at least 2.
        matrix (numpy.ndarray, (N, 2, 3)): from (row, column, 1) to a place on the image.
        corner (numpy.ndarray, (N, 2), integers): of the output's first pixel.
        size (int): side of the output.
        shift (numpy.ndarray, (N, C)), scale (numpy.ndarray, (C,)).
    Returns:
        float32, (N, C, size, size): new memory, on the device of ``x``.
    """
    xp = backend.get_array_module(x)
    matrix, shift, scale = (xp.asarray(a, np.float32) for a in (matrix, shift, scale))
    corner = xp.asarray(corner, np.int32)
    if xp is not np:
        return sample_xp(x, matrix, corner, size, shift, scale)
    x, matrix, corner, shift, scale = (
        np.require(a, requirements=('C', 'W')) for a in (x, matrix, corner, shift, scale))
    y = np.empty((len(x), x.shape[1], size, size), np.float32)
    threads.run_ranges(
        len(x), lambda first, last: _sample(first, last, x, matrix, corner, shift, scale, y), LEAST)
    return y


def sample_xp(x, matrix, corner, size: int, shift, scale):
    """`sample` in array operations; every array on one device, float32 and int32."""
    xp = backend.get_array_module(x)
    n, channels, height, width = x.shape
    step = xp.arange(size, dtype=np.float32)  # float32 though whole: integers widen to float64
    r = corner[:, 0, None, None].astype(np.float32) + step[:, None]
    c = corner[:, 1, None, None].astype(np.float32) + step
    inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
    m = matrix[:, :, :, None, None]
    row = xp.clip(m[:, 0, 0] * r + m[:, 0, 1] * c + m[:, 0, 2], 0, height - 1)
    column = xp.clip(m[:, 1, 0] * r + m[:, 1, 1] * c + m[:, 1, 2], 0, width - 1)
    top = xp.minimum(xp.floor(row), height - 2)
    left = xp.minimum(xp.floor(column), width - 2)
    down, right = (row - top)[:, None], (column - left)[:, None]
    plane = xp.arange(n * channels).reshape(n, channels, 1, 1) * (height * width)
    first = plane + (top * width + left).astype(np.int32)[:, None]
    flat = x.ravel()
    nw, ne, sw, se = (flat[first + far].astype(np.float32) for far in (0, 1, width, width + 1))
    upper, lower = nw + right * (ne - nw), sw + right * (se - sw)
    y = (upper + down * (lower - upper) + shift[:, :, None, None]) * scale[:, None, None]
    return xp.where(inside[:, None], y, np.float32(0))


@kernel('void(i8, i8, u1[:,:,:,::1], f4[:,:,::1], i4[:,::1], f4[:,::1], f4[::1], f4[:,:,:,::1])')
def _sample(first, last, x, matrix, corner, shift, scale, y):
    """Images ``first`` to ``last - 1``."""
    channels, height, width = x.shape[1:]
    size = y.shape[2]
    for image in range(first, last):
        m00, m01, m02 = matrix[image, 0, 0], matrix[image, 0, 1], matrix[image, 0, 2]
        m10, m11, m12 = matrix[image, 1, 0], matrix[image, 1, 1], matrix[image, 1, 2]
        for i in range(size):
            r = i + corner[image, 0]
            for j in range(size):
                c = j + corner[image, 1]
                if r < 0 or r >= height or c < 0 or c >= width:
                    for k in range(channels):
                        y[image, k, i, j] = 0
                    continue
                row = m00 * np.float32(r) + m01 * np.float32(c) + m02
                column = m10 * np.float32(r) + m11 * np.float32(c) + m12
                row = min(max(row, np.float32(0)), np.float32(height - 1))
                column = min(max(column, np.float32(0)), np.float32(width - 1))
                top = min(int(row), height - 2)
                left = min(int(column), width - 2)
                down = row - np.float32(top)
                right = column - np.float32(left)
                for k in range(channels):
                    nw = np.float32(x[image, k, top, left])
                    ne = np.float32(x[image, k, top, left + 1])
                    sw = np.float32(x[image, k, top + 1, left])
                    se = np.float32(x[image, k, top + 1, left + 1])
                    upper = nw + right * (ne - nw)
                    lower = sw + right * (se - sw)
                    value = upper + down * (lower - upper)
                    y[image, k, i, j] = (value + shift[image, k]) * scale[k]
