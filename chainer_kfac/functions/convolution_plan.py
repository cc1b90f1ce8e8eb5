"""Where every number of a 2-D convolution lies: offsets, weights and tiles for the kernels.

All three products of a convolution are correlations over a padded image, so that strides, padding,
dilation, groups and ``cover_all`` end here as tables of offsets and the compiled loops know none:

* forward, stride s: the padded image is dealt out to s x s planes, one for each remainder of row
  and column, and on these the stride is 1;
* gradient of the input: for each remainder of an input pixel's row and column by the stride, a
  correlation of the padded output gradient with those weights that meet such pixels;
* gradient of the weights: each weight is the sum over output pixels of the output gradient times
  the input pixel that the weight meets there.
"""
import functools
from typing import NamedTuple

import numpy as np

from chainer_kfac.functions.compilation import LANES
from chainer_kfac.functions.tiles import WIDTHS, height

_PART_BYTES = 1 << 25


class Geometry(NamedTuple):
    """The numbers that define a 2-D convolution of images of one size (pairs: rows, columns)."""

    channels: int
    size: tuple
    out_channels: int
    out_size: tuple
    kernel: tuple
    stride: tuple
    pad: tuple
    dilate: tuple
    groups: int

    @property
    def group_in(self):
        return self.channels // self.groups

    @property
    def group_out(self):
        return self.out_channels // self.groups


class CorrelationPlan(NamedTuple):
    """Arguments of `convolution_kernels.correlate` and how to pack its weights.

    ``window``: (row planes, column planes, top, left, rows, pitch) of the padded image.
    ``groups``: (number, channels read, channels written, vectors of a tile).
    ``phases``: a row for each remainder of output rows and columns: first and last + 1 of its
    taps, its first weight, rows, columns, first output, steps from row to row, column to column.
    """

    window: tuple
    groups: tuple
    taps: np.ndarray
    phases: np.ndarray
    weights: tuple

    def pack(self, w: np.ndarray) -> np.ndarray:
        """The weights in the order in which tiles read them; w (groups, read, written, kh, kw)."""
        width = self.groups[3] * LANES
        return np.concatenate([
            _in_blocks(w[:, :, :, rows][..., columns].transpose(0, 1, 3, 4, 2), width).ravel()
            for rows, columns in self.weights])

    def pack_bias(self, b: np.ndarray | None) -> np.ndarray:
        """Start of every sum: the bias or zeros, padded to whole tiles."""
        groups, _, written, vectors = self.groups
        if b is None:
            b = np.zeros(groups * written, np.float32)
        return _in_blocks(b.reshape(groups, 1, 1, 1, written), vectors * LANES).ravel()


class GradientPlan(NamedTuple):
    """Arguments of `convolution_kernels.weight_gradient` and how to unpack its result.

    ``window``: (channels last?, top, left, rows, pitch, steps down, right) of the padded image.
    ``groups``: (number, channels read, channels written, vectors of a tile, rows of a tile).
    ``runs``: where the ``run`` consecutive weights begin.
    """

    window: tuple
    groups: tuple
    runs: np.ndarray
    run: int
    geometry: Geometry

    @property
    def blocks(self) -> int:
        """Tiles side by side that cover the output channels of a group."""
        return -(-self.groups[2] // (self.groups[3] * LANES))

    def partial_shape(self, images: int) -> tuple:
        """(parts, groups, blocks, weights of a channel, lanes): parts are summed at the end.

        Their number does not depend on the number of threads: neither do the rounding errors.
        """
        shape = (self.groups[0], self.blocks, len(self.runs) * self.run, self.groups[3] * LANES)
        return (max(1, min(16, images, _PART_BYTES // (4 * int(np.prod(shape))))), *shape)

    def unpack(self, gw: np.ndarray) -> np.ndarray:
        """From the kernel's order, (groups, blocks, weights, lanes), to that of W."""
        g = self.geometry
        gw = gw.transpose(0, 1, 3, 2).reshape(g.groups, -1, gw.shape[2])[:, :g.group_out]
        if self.window[0]:
            gw = gw.reshape(g.out_channels, *g.kernel, g.group_in).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(gw).reshape(g.out_channels, g.group_in, *g.kernel)


@functools.lru_cache(maxsize=256)
def forward(g: Geometry) -> CorrelationPlan:
    """Plan of the convolution itself."""
    (kh, kw), (sy, sx), (dy, dx) = g.kernel, g.stride, g.dilate
    rows = g.out_size[0] + (kh - 1) * dy // sy
    pitch = g.out_size[1] + (kw - 1) * dx // sx
    c, i, j = _grid(g.group_in, np.arange(kh) * dy, np.arange(kw) * dx)
    taps = (((c * sy + i % sy) * sx + j % sx) * rows + i // sy) * pitch + j // sx
    step = g.out_channels
    phases = [(0, taps.size, 0, *g.out_size, 0, g.out_size[1] * step, step)]
    vectors = _vectors(g.group_out, g.out_size[1])
    return CorrelationPlan(
        (sy, sx, *g.pad, rows, pitch), (g.groups, g.group_in, g.group_out, vectors),
        taps.ravel(), np.array(phases), ((slice(None), slice(None)),))


@functools.lru_cache(maxsize=256)
def input_gradient(g: Geometry) -> CorrelationPlan:
    """Plan of the gradient of the convolution's input, from the gradient of its output."""
    down = [_meeting(g, 0, a) for a in range(min(g.stride[0], g.size[0]))]
    right = [_meeting(g, 1, b) for b in range(min(g.stride[1], g.size[1]))]
    top, rows = _extent(down)
    left, pitch = _extent(right)
    vectors = _vectors(g.group_in, right[0][2])
    blocks = -(-g.group_in // (vectors * LANES))
    taps, phases, weights = [], [], []
    first = 0
    for a, (ky, shift_y, height_) in enumerate(down):
        for b, (kx, shift_x, width) in enumerate(right):
            c, i, j = _grid(g.group_out, shift_y + top, shift_x + left)
            taps.append(((c * rows + i) * pitch + j).ravel())
            size = taps[-1].size
            phases.append((
                first, first + size, first * g.groups * blocks * vectors * LANES, height_, width,
                (a * g.size[1] + b) * g.channels,
                g.stride[0] * g.size[1] * g.channels, g.stride[1] * g.channels))
            weights.append((ky, kx))
            first += size
    return CorrelationPlan(
        (1, 1, top, left, rows, pitch), (g.groups, g.group_out, g.group_in, vectors),
        np.concatenate(taps), np.array(phases), tuple(weights))


@functools.lru_cache(maxsize=256)
def weight_gradient(g: Geometry) -> GradientPlan:
    """Plan of the gradient of the weights."""
    (kh, kw), (dy, dx) = g.kernel, g.dilate
    rows = (g.out_size[0] - 1) * g.stride[0] + (kh - 1) * dy + 1
    pitch = (g.out_size[1] - 1) * g.stride[1] + (kw - 1) * dx + 1
    last = g.groups == 1 or g.group_in >= kw
    steps = (1, pitch * g.channels, g.channels) if last else (rows * pitch, pitch, 1)
    y, x = np.arange(kh) * dy, np.arange(kw) * dx
    if last and g.groups == 1 and dx == 1:
        run, (c, i, j) = kw * g.channels, _grid(1, y, x[:1])
    elif last:
        run, (c, i, j) = g.group_in, _grid(1, y, x)
    elif dx == 1:
        run, (c, i, j) = kw, _grid(g.group_in, y, x[:1])
    else:
        run, (c, i, j) = 1, _grid(g.group_in, y, x)
    runs = (c * steps[0] + i * steps[1] + j * steps[2]).ravel()
    vectors = _vectors(g.group_out, run)
    window = (int(last), *g.pad, rows, pitch, g.stride[0] * steps[1], g.stride[1] * steps[2])
    groups = (g.groups, g.group_in, g.group_out, vectors, split(run, height(vectors)))
    return GradientPlan(window, groups, runs, run, g)


def split(length: int, most: int) -> int:
    """Size of the pieces, at most ``most`` and nearly equal, that cover ``length``."""
    return -(-length // -(-length // most)) if length else 1


def _vectors(channels, columns):
    """Width of the tiles that cover channels x columns in the fewest cycles.

    A step of a tile takes as many cycles as it has vector products, at least the four that one of
    them takes to come back, and about one more.
    """
    def cycles(vectors):
        most = height(vectors)
        pieces = -(-columns // most)
        step = max(vectors * split(columns, most), 4) + 1
        return -(-channels // (vectors * LANES)) * pieces * step

    return min(WIDTHS, key=cycles)


def _meeting(g, axis, remainder):
    """For input rows (columns) ``remainder`` + stride * t: the weights' rows that meet them,
    which output row t + shift each meets there, and the number of such t."""
    stride = g.stride[axis]
    where = remainder + g.pad[axis] - np.arange(g.kernel[axis]) * g.dilate[axis]
    meets = np.flatnonzero(where % stride == 0)
    return meets, where[meets] // stride, len(range(remainder, g.size[axis], stride))


def _extent(meetings):
    """(rows of padding before the output gradient, rows in all) that the shifts reach."""
    before = -min((int(shift.min()) for _, shift, _ in meetings if shift.size), default=0)
    return before, max(before + t + int(shift.max(initial=-before)) for _, shift, t in meetings)


def _grid(channels, rows, columns):
    return np.meshgrid(np.arange(channels), rows, columns, indexing='ij')


def _in_blocks(w, width):
    """(groups, ..., channels) to (groups, blocks, rows, width), zeros in the lanes left over."""
    groups, channels = len(w), w.shape[-1]
    w = w.reshape(groups, int(np.prod(w.shape[1:-1])), channels)
    blocks = -(-channels // width)
    packed = np.zeros((groups, w.shape[1], blocks * width), np.float32)
    packed[..., :channels] = w
    return packed.reshape(groups, w.shape[1], blocks, width).transpose(0, 2, 1, 3)
