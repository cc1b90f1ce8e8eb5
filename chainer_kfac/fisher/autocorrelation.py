"""Second moment of the patches of a convolution's input, at stride 1 without its patches.

The moment of the kernel places (ky, kx) and (ky', kx') sums x[y, x] x[y + u, x + v] over a window
of the image that depends on the first place; u and v, the lag, are their distance. All windows
share the sum over the whole image, one for each of the (2k-1)^2 lags (`spectrum`); what a window
leaves out are pairs of pixels that both lie in the k - 1 - pad outermost rows or columns:

    window = image - border rows - border columns + corners.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.patches import out_size, pair, patch_view
from chainer_kfac.fisher.spectrum import LagSums
from chainer_kfac.linalg import mirror_lower, symmetric_product

_CHUNK_ELEMENTS = 1 << 21
_CHUNK_EXAMPLES = 64


def patch_second_moment(x, ksize, stride=1, pad=0, dilate=1, groups=1, bias=True):
    """(1/N) sum over examples and positions of a a^T, a a patch of ``x`` (with a 1 appended).

    Args:
        x (array, (N, C, h, w), float32/64).
        ksize, stride, pad, dilate (int or pair of int): vertical, horizontal.
        groups (int): groups of channels, each with patches of its own.
        bias (bool): append the constant 1 to each patch.
    Returns:
        array, (groups, m, m) with m = C / groups * kh * kw + bias: new memory, symmetric.
    Raises:
        ValueError: if the kernel does not fit in the padded image.
    """
    if pair(stride) == (1, 1) and pair(ksize) != (1, 1):
        return spectral_second_moment(x, ksize, pad, dilate, groups, bias)
    return explicit_second_moment(x, ksize, stride, pad, dilate, groups, bias)


def explicit_second_moment(x, ksize, stride=1, pad=0, dilate=1, groups=1, bias=True):
    """`patch_second_moment` from the patches themselves, a few examples at a time."""
    xp = chainer.backend.get_array_module(x)
    view = patch_view(x, ksize, stride, pad, dilate)
    examples, oh, ow, channels, kh, kw = view.shape
    width = channels // groups
    m = width * kh * kw
    moments = xp.zeros((groups, m + bias, m + bias), x.dtype)
    chunk = max(1, _CHUNK_ELEMENTS // (oh * ow * m))
    for group, moment in enumerate(moments):
        part = view[:, :, :, group * width:(group + 1) * width]
        rows = xp.ones((chunk * oh * ow, m + bias), x.dtype)
        for start in range(0, examples, chunk):
            piece = part[start:start + chunk]
            rows = rows[:len(piece) * oh * ow]
            rows.reshape(len(piece), oh, ow, -1)[..., :m].reshape(
                piece.shape)[...] = piece
            symmetric_product(rows, out=moment, scale=1.0 / examples, accumulate=True)
    return moments


def spectral_second_moment(x, ksize, pad=0, dilate=1, groups=1, bias=True):
    """`patch_second_moment` at stride 1 from sums over whole images and their borders."""
    xp = chainer.backend.get_array_module(x)
    examples, channels, h, w = x.shape
    axes = [Axis(*sizes) for sizes in zip((h, w), pair(ksize), pair(pad), pair(dilate))]
    window = Window(axes, groups, channels // groups, x)
    for start in range(0, examples, _CHUNK_EXAMPLES):
        part = x[start:start + _CHUNK_EXAMPLES]
        images = xp.ascontiguousarray(part.transpose(2, 3, 0, 1))
        window.add(images.reshape(h, w, len(part), groups, -1))
    blocks = window.blocks()
    kh, kw, _, _, groups, width, _ = blocks.shape
    m = width * kh * kw
    moments = xp.empty((groups, m + bias, m + bias), x.dtype)
    moments[:, :m, :m] = blocks.transpose(4, 5, 0, 1, 6, 2, 3).reshape(groups, m, m)
    if bias:
        view = patch_view(x.sum(axis=0, keepdims=True), ksize, 1, pad, dilate)
        moments[:, m, :m] = view.sum(axis=(0, 1, 2)).reshape(groups, m)
        moments[:, m, m] = view.shape[1] * view.shape[2] * examples
    moments *= 1.0 / examples
    for moment in moments:
        mirror_lower(moment)
    return moments


class Axis:
    """One axis of a convolution at stride 1: its lags, and what each kernel place leaves out.

    Attributes:
        lags (int array): distances of two kernel places, from -(k-1)d to (k-1)d.
        index (int array, (k, k)): where in ``lags`` the distance of two places stands.
        borders (list of (slice, starts, stops)): outermost pixels at the low and the high end,
            and which of them, counted within the slice, the window of each place leaves out.
    """

    def __init__(self, size, k, pad, dilate):
        out = out_size(size, k, 1, pad, dilate)
        if out < 1:
            raise ValueError('a kernel of {} dilated by {} does not fit in {} pixels padded by {}'
                             .format(k, dilate, size, pad))
        places = np.arange(k)
        self.size = size
        self.k = k
        self.lags = np.arange(1 - k, k) * dilate
        self.index = places[None, :] - places[:, None] + k - 1
        width = min(size, max(0, (k - 1) * dilate - pad))
        self.borders = []
        if width:
            low = np.clip(places * dilate - pad, 0, width)
            high = np.clip(places * dilate - pad + out, size - width, size) - (size - width)
            zero, full = np.zeros(k, int), np.full(k, width)
            self.borders = [(slice(0, width), zero, low), (slice(size - width, size), high, full)]
        self.dilate = dilate

    def left_out(self, border):
        """For each two places, the pixels of a border that both windows leave out.

        Yields:
            (place, place', pixels, pixels'): index arrays of equal length, never empty.
        """
        _, starts, stops = border
        for first in range(self.k):
            for second in range(self.k):
                lag = (second - first) * self.dilate
                start = max(starts[first], starts[second] - lag)
                stop = min(stops[first], stops[second] - lag)
                if start < stop:
                    pixels = np.arange(start, stop)
                    yield first, second, pixels, pixels + lag


class Window:
    """Sums over images, border rows, border columns and corners, and their combination."""

    def __init__(self, axes, groups, channels, like):
        self.axes = vertical, horizontal = axes
        self.groups, self.channels = groups, channels
        self.xp = chainer.backend.get_array_module(like)
        none = np.zeros(1, int)
        self.image = LagSums(
            (vertical.size, horizontal.size), groups, channels,
            (vertical.lags, horizontal.lags), like)
        self.rows = [
            LagSums((horizontal.size, 1), groups, _width(border) * channels,
                    (horizontal.lags, none), like) for border in vertical.borders]
        self.columns = [
            LagSums((vertical.size, 1), groups, _width(border) * channels,
                    (vertical.lags, none), like) for border in horizontal.borders]
        self.corners = {}

    def add(self, images):
        """Take in images laid out (rows, columns, examples, groups, channels), contiguous."""
        vertical, horizontal = self.axes
        h, w, examples = images.shape[:3]
        self.image.add(images)
        for border, sums in zip(vertical.borders, self.rows):
            part = images[border[0]].transpose(1, 2, 3, 0, 4)
            sums.add(part.reshape(w, 1, examples, self.groups, -1))
        for border, sums in zip(horizontal.borders, self.columns):
            part = images[:, border[0]].transpose(0, 2, 3, 1, 4)
            sums.add(part.reshape(h, 1, examples, self.groups, -1))
        for i, row in enumerate(vertical.borders):
            for j, column in enumerate(horizontal.borders):
                part = images[row[0], column[0]].transpose(3, 0, 1, 4, 2)
                part = part.reshape(self.groups, -1, examples)
                product = part @ part.transpose(0, 2, 1)
                self.corners[i, j] = self.corners.get((i, j), 0) + product

    def blocks(self):
        """The sums of all two kernel places, (kh, kw, kh, kw, groups, channels, channels)."""
        vertical, horizontal = self.axes
        lags = self.image.lags()
        blocks = lags[vertical.index[:, None, :, None], horizontal.index[None, :, None, :]]
        for border, sums in zip(vertical.borders, self.rows):
            self._remove(blocks, vertical, horizontal, border, sums.lags())
        for border, sums in zip(horizontal.borders, self.columns):
            self._remove(blocks.transpose(1, 0, 3, 2, 4, 5, 6), horizontal, vertical, border,
                         sums.lags())
        for (i, j), products in self.corners.items():
            self._restore(blocks, vertical.borders[i], horizontal.borders[j], products)
        return blocks

    def _remove(self, blocks, across, along, border, lags):
        """Take the border's pixels out of the windows that leave them out."""
        width = _width(border)
        lags = lags.reshape(len(along.lags), self.groups, width, self.channels, width, -1)
        lags = lags.transpose(2, 4, 0, 1, 3, 5)
        for first, second, pixels, others in across.left_out(border):
            blocks[first, :, second] -= lags[pixels, others].sum(axis=0)[along.index]

    def _restore(self, blocks, row, column, products):
        """Put the corner back that rows and columns both took out."""
        vertical, horizontal = self.axes
        shape = _width(row), _width(column), self.channels
        products = products.reshape((self.groups,) + shape + shape)
        products = products.transpose(1, 4, 2, 5, 0, 3, 6)
        for ky, ky2, rows, rows2 in vertical.left_out(row):
            strip = products[rows, rows2].sum(axis=0)
            for kx, kx2, columns, columns2 in horizontal.left_out(column):
                blocks[ky, kx, ky2, kx2] += strip[columns, columns2].sum(axis=0)


def _width(border):
    return border[0].stop - border[0].start
