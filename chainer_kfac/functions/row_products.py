"""A few rows times a wide matrix, at the pace of reading the matrix once.

A BLAS library copies the matrix into an order of its own first, which pays only if many rows use
the copy: ten rows times 4097 x 4097 numbers take it twice as long.
"""
import numpy as np

from chainer_kfac.functions import threads, tiles
from chainer_kfac.functions.compilation import LANES, kernel

_VECTORS = 2
_WIDTH = _VECTORS * LANES
_HEIGHT = tiles.height(_VECTORS)
_STREAMS = 8
"""Rows of the matrix read side by side: no more than the processor's prefetching can follow."""

MOST = 2 * _HEIGHT
"""Rows up to which this is faster than a BLAS library."""

WIDE = 1024
"""Least width of the matrix: a smaller one is in the cache, where copying it costs little."""

_tile = tiles.gradient_tile(_VECTORS)


def multiply(rows, matrix, out):
    """out = rows @ matrix if this is the fast way.

    What is computed does not depend on the number of threads.

    Args:
        rows (array, (r, k)), matrix (array, (k, n)), out (array, (r, n)).
    Returns:
        bool: False, with nothing done, unless all are C-contiguous float32 arrays of NumPy, r is
        1 to `MOST`, and k and n are at least `WIDE`.
    """
    arrays = rows, matrix, out
    if not 1 <= len(rows) <= MOST or min(matrix.shape) < WIDE or not all(
            isinstance(array, np.ndarray) and array.dtype == np.float32
            and array.flags.c_contiguous for array in arrays):
        return False
    r, n = out.shape
    panels = n // _WIDTH
    sums = np.empty(panels * r * _WIDTH, np.float32)
    flat = np.ascontiguousarray(rows.T).ravel()
    tasks = threads.count()
    threads.run(lambda i: _multiply(panels * i // tasks, panels * (i + 1) // tasks, r, n, flat,
                                    matrix.ravel(), sums, out), tasks)
    rest = panels * _WIDTH
    if rest < n:
        out[:, rest:] = rows @ matrix[:, rest:]
    return True


@kernel('void(i8, i8, i8, i8, f4[::1], f4[::1], f4[::1], f4[:, ::1])')
def _multiply(first, last, r, n, rows, matrix, sums, out):
    """The panels of `_WIDTH` columns from ``first`` to ``last``; ``rows`` are transposed."""
    k = rows.size // r
    sums[first * r * _WIDTH:last * r * _WIDTH] = 0
    for line in range(0, k, _STREAMS):
        lines = min(_STREAMS, k - line)
        for panel in range(first, last):
            for row in range(0, r, _HEIGHT):
                _tile(min(_HEIGHT, r - row), rows, line * r + row, 0, r, 1, lines,
                      matrix, line * n + panel * _WIDTH, n, sums, (panel * r + row) * _WIDTH)
    for panel in range(first, last):
        for row in range(r):
            for lane in range(_WIDTH):
                out[row, panel * _WIDTH + lane] = sums[(panel * r + row) * _WIDTH + lane]
