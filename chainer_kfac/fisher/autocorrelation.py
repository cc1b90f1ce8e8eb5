"""Second moment of the patches of a convolution's input, at stride 1 without its patches.

At stride 1 it is made of autocorrelations of the whole images and of their borders (`windows`),
which come from one small matrix product per frequency (`spectrum`). At other strides, and for
1x1 kernels, the patches are formed, a few examples at a time.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.assembly import assemble, assemble_by_product
from chainer_kfac.fisher.patches import pair, patch_view
from chainer_kfac.fisher.spectrum import Chunks, LagSums
from chainer_kfac.fisher.windows import Axis, Terms
from chainer_kfac.linalg import Workspace, single_threaded_blas, symmetric_product

_CHUNK_ELEMENTS = 1 << 21
_CHUNK_EXAMPLES = 64
_DEVICE_ELEMENTS = 1 << 28


def patch_second_moment(x, ksize, stride=1, pad=0, dilate=1, groups=1, bias=True, *,
                        workspace=None):
    """(1/N) sum over examples and positions of a a^T, a a patch of ``x`` (with a 1 appended).

    Args:
        x (array, (N, C, h, w), float32/64).
        ksize, stride, pad, dilate (int or pair of int): vertical, horizontal.
        groups (int): groups of channels, each with patches of its own.
        bias (bool): append the constant 1 to each patch.
        workspace (Workspace or None): scratch memory and tables to reuse from call to call.
    Returns:
        array, (groups, m, m) with m = C / groups * kh * kw + bias: new memory, exactly symmetric.
    Raises:
        ValueError: if the kernel does not fit in the padded image.
    """
    if pair(stride) == (1, 1) and spectral_pays(x.shape, ksize, pad, dilate, groups):
        return spectral_second_moment(
            x, ksize, pad, dilate, groups, bias, workspace=workspace)
    return explicit_second_moment(x, ksize, stride, pad, dilate, groups, bias)


def spectral_pays(shape, ksize, pad, dilate, groups):
    """Whether the spectral way is the faster one at stride 1, from the shape (N, C, h, w) alone.

    Both counts are operations of one kind of product; what moves memory is counted as the
    operations that take as long (measured on a CPU). Few examples of many channels lose: the sums
    of each frequency are as large as for many examples.
    """
    examples, channels, h, w = shape
    y, x = (Axis(*sizes) for sizes in zip((h, w), pair(ksize), pair(pad), pair(dilate)))
    places, c = y.k * x.k, channels // groups
    if places == 1:
        return False
    across = w + (x.k - 1) * x.dilate
    rows, columns = (h + (y.k - 1) * y.dilate) // 2 + 1, across // 2 + 1
    frequencies = rows * across + 2 * columns * y.border ** 2 + 2 * rows * x.border ** 2
    products = groups * c ** 2 * (frequencies * (6 * examples + 178) + 96 * places ** 2)
    transforms = examples * channels * rows * w * (4 * h + 8 * across)
    m = places * c
    explicit = groups * examples * y.positions * x.positions * m * (m + 30)
    return 2 * (products + transforms) < explicit


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
            rows[:, :m].reshape(piece.shape)[...] = piece
            symmetric_product(rows, out=moment, scale=1.0 / examples, keep=1.0)
    return moments


def spectral_second_moment(x, ksize, pad=0, dilate=1, groups=1, bias=True, *, workspace=None):
    """`patch_second_moment` at stride 1 from sums over whole images and their borders.

    Rounding errors are relative to the images' sum of squares: about 1e-6 of it in float32.
    """
    workspace = workspace or Workspace()
    xp = chainer.backend.get_array_module(x)
    shape = x.shape[1:], pair(ksize), pair(pad), pair(dilate), groups
    key = 'moment', shape, x.dtype, xp.__name__
    sums = workspace.keep(key, lambda: MomentSums(
        x.shape[1:], ksize, pad, dilate, groups, xp, x.dtype))
    with single_threaded_blas():
        values = sums(x, workspace)
    (kh, kw), width = pair(ksize), x.shape[1] // groups
    m = width * kh * kw
    moments = xp.empty((groups, m + bias, m + bias), x.dtype)
    sums.assemble(values, moments[:, :m, :m])
    if bias:
        view = patch_view(x.mean(axis=0, keepdims=True), ksize, 1, pad, dilate)
        column = view.sum(axis=(0, 1, 2)).reshape(groups, m)
        moments[:, m, :m] = moments[:, :m, m] = column
        moments[:, m, m] = view.shape[1] * view.shape[2]
    return moments


class MomentSums:
    """The sums that `windows.Terms` lists, divided by the number of examples, of a batch."""

    def __init__(self, image_shape, ksize, pad, dilate, groups, xp, dtype):
        channels, h, w = image_shape
        self.axes = y, x = [
            Axis(*sizes) for sizes in zip((h, w), pair(ksize), pair(pad), pair(dilate))]
        self.terms = Terms(y, x)
        self._weights = None if xp is np else xp.asarray(self.terms.dense().astype(dtype))
        self.groups, self.channels = groups, channels // groups
        self.image = LagSums((h, w), groups, self.channels, (y.k - 1, x.k - 1),
                             (y.dilate, x.dilate), xp, dtype)
        # Both ends of an axis at once: as groups. All lines of a border at once: as channels.
        self.rows = y.border and LagSums(
            (w, 1), 2 * groups, y.border * self.channels, (x.k - 1, 0), (x.dilate, 1), xp, dtype)
        self.columns = x.border and LagSums(
            (h, 1), 2 * groups, x.border * self.channels, (y.k - 1, 0), (y.dilate, 1), xp, dtype)

    def __call__(self, x, workspace):
        """The listed sums of a batch (N, C, h, w): (terms, groups, channels, channels), scratch."""
        vertical, horizontal = self.axes
        xp = chainer.backend.get_array_module(x)
        examples, _, h, w = x.shape
        c = self.channels
        images = x.reshape(examples, self.groups, c, h, w)
        scale = 1.0 / examples
        values = workspace.take('values', (self.terms.count, self.groups, c, c), x.dtype, xp)
        ends = iter(self.terms.parts)

        def part():
            start, stop = next(ends)
            return values[start:stop]

        size = self._chunk_size(x)
        self.image(Chunks(images.transpose(3, 4, 0, 1, 2), size), scale, workspace, out=part())
        if self.rows:
            strips = _ends(images, 3, vertical).transpose(5, 0, 1, 3, 4, 2)
            self._border(self.rows, strips, size, scale, workspace, part())
        if self.columns:
            strips = _ends(images, 4, horizontal).transpose(3, 0, 1, 4, 5, 2)
            self._border(self.columns, strips, size, scale, workspace, part())
        if self.rows and self.columns:
            self._corners(_ends(_ends(images, 4, horizontal), 3, vertical), scale, part())
        return values

    def assemble(self, values, moments):
        """Fill ``moments``, (groups, m, m), from the listed sums."""
        if self._weights is None:
            assemble(self.terms, values, moments)
        else:
            assemble_by_product(self._weights, values, moments)

    def _chunk_size(self, x):
        """Examples at a time: a few on the CPU, to stay in its caches; many on a device."""
        if chainer.backend.get_array_module(x) is np:
            return min(_CHUNK_EXAMPLES, max(16, -(-len(x) // 2)))
        return max(1, _DEVICE_ELEMENTS // (8 * x[0].size))

    def _border(self, sums, strips, size, scale, workspace, out):
        """Sums of every two lines of each border, (end, line, line', lag) as rows of ``out``.

        ``strips``: (place along the border, example, group, end, line, channel).
        """
        _, _, groups, ends, lines, c = strips.shape
        lags = sums(Chunks(strips[:, None], size), scale, workspace)
        lags = lags.reshape(-1, groups, ends, lines, c, lines, c).transpose(2, 3, 5, 0, 1, 4, 6)
        out.reshape(lags.shape)[...] = lags

    def _corners(self, corners, scale, out):
        """Products of every two pixels of each corner, (end, end', pixel, pixel') as rows.

        ``corners``: (example, group, channel, end, row, end', column).
        """
        examples, groups, c, ends, rows, _, columns = corners.shape
        xp = chainer.backend.get_array_module(corners)
        pixels = corners.transpose(1, 3, 5, 4, 6, 2, 0)
        pixels = xp.ascontiguousarray(pixels).reshape(groups * ends * ends, -1, examples)
        products = pixels @ pixels.swapaxes(-1, -2)
        products = products.reshape(groups, ends, ends, rows * columns, c, rows * columns, c)
        products = products.transpose(1, 2, 3, 5, 0, 4, 6)
        xp.multiply(products, scale, out=out.reshape(products.shape))


def _ends(array, axis, along):
    """Replace an axis of pixels by two: low or high end, pixels of its border; a view to read."""
    xp = chainer.backend.get_array_module(array)
    step = array.strides[axis]
    shape = array.shape[:axis] + (2, along.border) + array.shape[axis + 1:]
    strides = (array.strides[:axis] + ((along.size - along.border) * step, step)
               + array.strides[axis + 1:])
    return xp.lib.stride_tricks.as_strided(array, shape, strides)
