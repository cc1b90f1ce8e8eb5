"""Register tiles: the inner loops of convolution, written in LLVM's vector instructions.

A tile keeps P x V accumulators of `LANES` floats in registers, all through a sum over k:

    out[p, :] = init[:] + sum_k broadcast(x[p, k]) * w[k, :]      `correlation_tile`
    out[p, :] += sum_k broadcast(x[p, k]) * w[k, :]               `gradient_tile`

Each step loads V vectors and P numbers for P * V fused multiply-adds, so the arithmetic units and
not the caches set the pace. A compiler does not find this form from scalar loops, hence the
intrinsics. P is a run-time argument, one unrolled loop for each value up to `height(V)`.
"""
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainer_kfac.functions import simd
from chainer_kfac.functions.compilation import LANES, REGISTERS

WIDTHS = (1, 2, 4)
"""Vectors side by side that a tile can have."""


def height(vectors: int) -> int:
    """Most rows of a tile of so many vectors: the weights and one number need registers too."""
    return min(14, (REGISTERS - 1 - vectors) // vectors)


class _Emitter:
    """The instructions of a tile of ``rows`` x ``vectors`` accumulators."""

    def __init__(self, builder, rows, vectors):
        self.builder = builder
        self.vectors = vectors
        self.sums = [[cgutils.alloca_once(builder, simd.FLOATS) for _ in range(vectors)]
                     for _ in range(rows)]

    def start(self, place, row_step):
        """Load the accumulators; ``row_step`` 0 gives every row the same start."""
        for p, row in enumerate(self.sums):
            for v, total in enumerate(row):
                self.builder.store(simd.load(self.builder, place, p * row_step + v * LANES), total)

    def step(self, x, w):
        """sums[p, v] += x[p] * w[v], x and w pointers to consecutive floats."""
        builder = self.builder
        weights = [simd.load(builder, w, v * LANES) for v in range(self.vectors)]
        for p, row in enumerate(self.sums):
            number = simd.splat(builder, builder.load(simd.moved(builder, x, p)))
            for weight, total in zip(weights, row, strict=True):
                builder.store(
                    simd.multiply_add(builder, number, weight, builder.load(total)), total)

    def finish(self, place, row_step):
        """Store the accumulators, rows ``row_step`` (an LLVM integer) floats apart."""
        for p, row in enumerate(self.sums):
            start = simd.moved(self.builder, place, self.builder.mul(row_step.type(p), row_step))
            for v, total in enumerate(row):
                simd.store(self.builder, self.builder.load(total), start, v * LANES)


def _for_each_height(builder, rows, vectors, emit):
    """Branch to one of the unrolled tiles by the run-time value ``rows``."""
    end = builder.append_basic_block('tile.end')
    switch = builder.switch(rows, end)
    for p in range(1, height(vectors) + 1):
        block = builder.append_basic_block('tile.{}'.format(p))
        switch.add_case(rows.type(p), block)
        builder.position_at_end(block)
        emit(_Emitter(builder, p, vectors))
        builder.branch(end)
    builder.position_at_end(end)


def correlation_tile(vectors: int):
    """An intrinsic ``tile(rows, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step)``.

    out[o0 + p * out_step + lane] = init[i0 + lane]
        + sum_{t0 <= t < t1} x[x0 + taps[t] + p] * w[w0 + (t - t0) * vectors * LANES + lane]

    for p < rows and each lane of the tile; all arrays one-dimensional, the rest integers.
    """
    @intrinsic
    def tile(typingctx, rows, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step):
        intp = types.intp
        signature = types.void(
            intp, x, intp, taps, intp, intp, w, intp, init, intp, out, intp, intp)

        def generate(context, builder, signature, args):
            rows, x, x0, taps, t0, t1, w, w0, init, i0, out, o0, out_step = args
            kinds = signature.args
            x = simd.pointer(context, builder, kinds[1], x, x0)
            taps = simd.pointer(context, builder, kinds[3], taps, t0)
            w = simd.pointer(context, builder, kinds[6], w, w0)
            init = simd.pointer(context, builder, kinds[8], init, i0)
            out = simd.pointer(context, builder, kinds[10], out, o0)

            def emit(tile):
                tile.start(init, 0)
                with cgutils.for_range(builder, builder.sub(t1, t0)) as loop:
                    tap = builder.load(builder.gep(taps, [loop.index]))
                    weight = builder.mul(loop.index, loop.index.type(vectors * LANES))
                    tile.step(builder.gep(x, [tap]), builder.gep(w, [weight]))
                tile.finish(out, out_step)

            _for_each_height(builder, rows, vectors, emit)
            return context.get_dummy_value()
        return signature, generate
    return tile


def gradient_tile(vectors: int):
    """An intrinsic ``tile(rows, x, x0, x_down, x_right, h, w, g, g0, g_step, out, o0)``.

    out[o0 + p * vectors * LANES + lane] += sum over i < h, j < w of
        x[x0 + i * x_down + j * x_right + p] * g[g0 + (i * w + j) * g_step + lane]

    for p < rows and each lane of the tile; all arrays one-dimensional, the rest integers.
    """
    @intrinsic
    def tile(typingctx, rows, x, x0, x_down, x_right, h, w, g, g0, g_step, out, o0):
        intp = types.intp
        signature = types.void(intp, x, intp, intp, intp, intp, intp, g, intp, intp, out, intp)

        def generate(context, builder, signature, args):
            rows, x, x0, x_down, x_right, h, w, g, g0, g_step, out, o0 = args
            kinds = signature.args
            x = simd.pointer(context, builder, kinds[1], x, x0)
            g = simd.pointer(context, builder, kinds[7], g, g0)
            out = simd.pointer(context, builder, kinds[10], out, o0)

            def emit(tile):
                tile.start(out, vectors * LANES)
                with cgutils.for_range(builder, h) as down:
                    x_row = builder.gep(x, [builder.mul(down.index, x_down)])
                    g_row = builder.gep(
                        g, [builder.mul(builder.mul(down.index, w), g_step)])
                    with cgutils.for_range(builder, w) as right:
                        tile.step(builder.gep(x_row, [builder.mul(right.index, x_right)]),
                                  builder.gep(g_row, [builder.mul(right.index, g_step)]))
                tile.finish(out, h.type(vectors * LANES))

            _for_each_height(builder, rows, vectors, emit)
            return context.get_dummy_value()
        return signature, generate
    return tile
