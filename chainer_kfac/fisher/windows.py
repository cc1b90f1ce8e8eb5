"""Which sums make up the second moment of the patches of a convolution at stride 1.

The moment of the kernel places (ky, kx) and (ky', kx') sums x[y, x] x[y + u, x + v] over a window
of the image that depends on the first place; u and v, the lag, are their distance. All windows
share the sum over the whole image, one for each of the (2k-1)^2 lags; what a window leaves out are
pairs of pixels that both lie in the (k - 1) * dilate - pad outermost rows or columns:

    window = image - border rows - border columns + corners.
"""
import numpy as np

from chainer_kfac.fisher.patches import out_size


class Axis:
    """One axis of a convolution at stride 1: its lags, and what each kernel place leaves out.

    Args:
        size (int): pixels. k, pad, dilate (int): the kernel's places, padding, and their distance.
    Attributes:
        positions (int): where the kernel fits.
        border (int): outermost pixels at either end that some windows leave out.
        ends (list of slice): those pixels at the low and at the high end; empty without a border.
    Raises:
        ValueError: if the kernel does not fit in the padded image.
    """

    def __init__(self, size, k, pad, dilate):
        self.positions = out = out_size(size, k, 1, pad, dilate)
        if out < 1:
            raise ValueError('a kernel of {} dilated by {} does not fit in {} pixels padded by {}'
                             .format(k, dilate, size, pad))
        self.size, self.k, self.dilate = size, k, dilate
        self.border = border = min(size, max(0, (k - 1) * dilate - pad))
        starts = np.arange(k) * dilate - pad
        low = np.clip(starts, 0, border)
        high = np.clip(starts + out - (size - border), 0, border)
        self.ends, self._kept_out = [], []
        if border:
            self.ends = [slice(0, border), slice(size - border, size)]
            self._kept_out = [(np.zeros(k, int), low), (high, np.full(k, border))]

    def lag(self, first, second):
        """Index of the distance of two places among the 2k - 1 lags."""
        return second - first + self.k - 1

    def left_out(self, first, second):
        """Pairs of pixels that the windows of two places leave out: [(end, pixel, pixel'), ...].

        ``end`` counts `ends`; pixels count within it.
        """
        pairs = []
        lag = (second - first) * self.dilate
        for end, (starts, stops) in enumerate(self._kept_out):
            start = max(starts[first], starts[second] - lag)
            stop = min(stops[first], stops[second] - lag)
            pairs += [(end, pixel, pixel + lag) for pixel in range(start, stop)]
        return pairs


class Terms:
    """Where each sum stands in one long list, and which of them make up each pair of places.

    The list holds the lags of the image; of each border row pair of either end; of each border
    column pair; and the pixel pairs of each corner.

    Attributes:
        starts, terms, signs (int arrays): for pair p of places (first <= second, row by row of the
            upper triangle), terms[starts[p]:starts[p + 1]] with their signs +1 or -1.
        parts (list of (start, stop)): the image's, the row, the column and the corner sums in the
            list, without those that do not exist.
        count (int): length of the list.
    """

    def __init__(self, vertical, horizontal):
        self._axes = vertical, horizontal
        lags_y, lags_x = 2 * vertical.k - 1, 2 * horizontal.k - 1
        pairs_y, pairs_x = vertical.border ** 2, horizontal.border ** 2
        sizes = (lags_y * lags_x, 2 * pairs_y * lags_x, 2 * pairs_x * lags_y,
                 4 * pairs_y * pairs_x)
        bounds = [int(bound) for bound in np.cumsum((0,) + sizes)]
        _, self._row_base, self._column_base, self._corner_base, self.count = bounds
        self.parts = [part for part in zip(bounds, bounds[1:]) if part[0] < part[1]]
        places = [(y, x) for y in range(vertical.k) for x in range(horizontal.k)]
        lists = [self._of_pair(*first, *second)
                 for i, first in enumerate(places) for second in places[i:]]
        self.starts = np.cumsum([0] + [len(terms) for terms in lists])
        flat = np.array([term for terms in lists for term in terms])
        self.terms, self.signs = flat.T.copy()

    def dense(self):
        """The signs as a matrix, (pairs of places, count)."""
        pairs = len(self.starts) - 1
        matrix = np.zeros((pairs, self.count))
        owners = np.repeat(np.arange(pairs), np.diff(self.starts))
        np.add.at(matrix, (owners, self.terms), self.signs)
        return matrix

    def _of_pair(self, ky, kx, ky2, kx2):
        vertical, horizontal = self._axes
        b, c = vertical.border, horizontal.border
        lags_y, lags_x = 2 * vertical.k - 1, 2 * horizontal.k - 1
        u, v = vertical.lag(ky, ky2), horizontal.lag(kx, kx2)
        rows, columns = vertical.left_out(ky, ky2), horizontal.left_out(kx, kx2)
        terms = [(u * lags_x + v, 1)]
        terms += [(self._row_base + ((e * b + i) * b + i2) * lags_x + v, -1) for e, i, i2 in rows]
        terms += [(self._column_base + ((e * c + j) * c + j2) * lags_y + u, -1)
                  for e, j, j2 in columns]
        terms += [(self._corner_base + ((((2 * e + f) * b + i) * c + j) * b + i2) * c + j2, 1)
                  for e, i, i2 in rows for f, j, j2 in columns]
        return terms
