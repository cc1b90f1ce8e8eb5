"""Triangles of symmetric matrices: mirroring one into the other, packing one into a vector.

The packed order is the upper triangle row by row: (0,0) (0,1) ... (0,n-1) (1,1) ... (n-1,n-1).
"""
import chainer
import numpy as np

_TILE = 256
_GAP = 64
"""Bytes between the rows of a tile in scratch memory, so that a column of it fits in the cache."""


def mirror_lower(matrix):
    """Copy the strict lower triangle of a square array onto the upper one, in place.

    Works tile by tile on the CPU, each through scratch memory: a transposed pass over a wide matrix
    misses the cache at every element, and one whose rows are a power of two apart even in a tile.
    """
    n = len(matrix)
    if chainer.backend.get_array_module(matrix) is not np:
        _gpu_kernels()['mirror'](n, matrix, size=n * n)
        return matrix
    size = min(n, _TILE)
    lower = np.tri(size, k=-1, dtype=bool)
    scratch = np.empty((size, size + _GAP // matrix.itemsize), matrix.dtype)
    for start in range(0, n, _TILE):
        stop = min(start + _TILE, n)
        diagonal = matrix[start:stop, start:stop]
        mask = lower[:stop - start, :stop - start]
        diagonal.T[mask] = diagonal[mask]
        for row in range(stop, n, _TILE):
            end = min(row + _TILE, n)
            tile = scratch[:end - row, :stop - start]
            tile[...] = matrix[row:end, start:stop]
            matrix[start:stop, row:end] = tile.T
    return matrix


def triangle_size(n):
    """Number of elements on and above the diagonal of an (n, n) matrix, n(n+1)/2."""
    return n * (n + 1) // 2


def pack_triangle(matrix, out=None):
    """Upper triangle of a symmetric matrix as a vector.

    Args:
        matrix (array, (n, n)).
        out (array, (n(n+1)/2,) or None): contiguous; may be a slice of a longer buffer.
    Returns:
        array, (n(n+1)/2,): ``out``, or new memory.
    Raises:
        ValueError: if ``out`` has another length.
    """
    n = len(matrix)
    xp = chainer.backend.get_array_module(matrix)
    if out is None:
        out = xp.empty(triangle_size(n), matrix.dtype)
    _check_length(out, n)
    if xp is not np:
        _gpu_kernels()['pack'](n, matrix, out, size=n * n)
        return out
    start = 0
    for row in range(n):
        stop = start + n - row
        out[start:stop] = matrix[row, row:]
        start = stop
    return out


def unpack_triangle(flat, out=None):
    """Symmetric matrix from its packed upper triangle: the inverse of `pack_triangle`.

    Args:
        flat (array, (n(n+1)/2,)): contiguous; may be a slice of a longer buffer.
        out (array, (n, n) or None): C-contiguous.
    Returns:
        array, (n, n): ``out``, or new memory; exactly symmetric.
    Raises:
        ValueError: if the length of ``flat`` is no n(n+1)/2, or not that of ``out``.
    """
    xp = chainer.backend.get_array_module(flat)
    if out is None:
        n = (int(round((8 * flat.size + 1) ** 0.5)) - 1) // 2
        out = xp.empty((n, n), flat.dtype)
    n = len(out)
    _check_length(flat, n)
    if xp is not np:
        _gpu_kernels()['unpack'](n, flat, out, size=n * n)
        return out
    transposed = out.T
    start = 0
    for row in range(n):
        stop = start + n - row
        out[row, row:] = flat[start:stop]
        start = stop
    mirror_lower(transposed)
    return out


def _check_length(flat, n):
    if flat.shape != (triangle_size(n),):
        raise ValueError('the triangle of a matrix of width {} has {} elements, not shape {}'
                         .format(n, triangle_size(n), flat.shape))


@chainer.backends.cuda.memoize()
def _gpu_kernels():
    """CuPy kernels over all n^2 places; each copies where its place is in the triangle."""
    kernel = chainer.backends.cuda.cupy.ElementwiseKernel
    place = 'long long r = i / n, c = i % n; long long k = r * n - r * (r - 1) / 2 + c - r;'
    return {
        'mirror': kernel('int64 n', 'raw T m', 'long long r = i / n, c = i % n;'
                         'if (c > r) m[i] = m[c * n + r];', 'kfac_mirror'),
        'pack': kernel('int64 n, raw T m', 'raw T flat',
                       place + 'if (c >= r) flat[k] = m[i];', 'kfac_pack'),
        'unpack': kernel('int64 n, raw T flat', 'raw T m', place +
                         'if (c >= r) { m[i] = flat[k]; m[c * n + r] = flat[k]; }', 'kfac_unpack'),
    }
