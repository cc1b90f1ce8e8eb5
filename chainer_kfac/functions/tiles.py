"""Register tiles: the inner loops of convolution, written in LLVM's vector instructions.

A tile keeps P x V accumulators of `LANES` floats in registers, all through a sum over k:

    out[p, :] = init[:] + sum_k broadcast(x[p, k]) * w[k, :]      `correlation_tile`
    out[p, :] += sum_k broadcast(x[p, k]) * w[k, :]               `gradient_tile`

Each step loads V vectors and P numbers for P * V fused multiply-adds, so the arithmetic units and
not the caches set the pace. A compiler does not find this form from scalar loops, hence the
intrinsics. P is a run-time argument, one unrolled loop for each value up to `height(V)`.
"""
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainer_kfac.functions.compilation import LANES, REGISTERS

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_UNDEFINED = ir.Constant(_VECTOR, ir.Undefined)
_FIRST_LANE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)

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
        self.sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)]
                     for _ in range(rows)]

    def start(self, pointer, row_step):
        """Load the accumulators; ``row_step`` 0 gives every row the same start."""
        for p, row in enumerate(self.sums):
            for v, total in enumerate(row):
                self.builder.store(self._load(pointer, p * row_step + v * LANES), total)

    def step(self, x, w):
        """sums[p, v] += x[p] * w[v], x and w pointers to consecutive floats."""
        builder = self.builder
        weights = [self._load(w, v * LANES) for v in range(self.vectors)]
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3),
            'llvm.fmuladd.v{}f32'.format(LANES))
        for p, row in enumerate(self.sums):
            number = builder.load(_offset(builder, x, p))
            vector = builder.shuffle_vector(
                builder.insert_element(_UNDEFINED, number, ir.IntType(32)(0)),
                _UNDEFINED, _FIRST_LANE)
            for v, total in enumerate(row):
                builder.store(builder.call(fma, [vector, weights[v], builder.load(total)]), total)

    def finish(self, pointer, row_step):
        """Store the accumulators, rows ``row_step`` floats apart (a number or an LLVM value)."""
        for p, row in enumerate(self.sums):
            start = _offset(self.builder, pointer, _times(self.builder, p, row_step))
            for v, total in enumerate(row):
                self._store(start, v * LANES, self.builder.load(total))

    def _load(self, pointer, offset):
        place = _offset(self.builder, pointer, offset)
        return self.builder.load(self.builder.bitcast(place, _VECTOR.as_pointer()), align=4)

    def _store(self, pointer, offset, value):
        place = _offset(self.builder, pointer, offset)
        self.builder.store(value, self.builder.bitcast(place, _VECTOR.as_pointer()), align=4)


def _offset(builder, pointer, offset):
    if isinstance(offset, int):
        offset = ir.IntType(64)(offset)
    return builder.gep(pointer, [offset])


def _times(builder, number, factor):
    return number * factor if isinstance(factor, int) else builder.mul(factor.type(number), factor)


def _pointer(context, builder, array_type, array, offset):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


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
            x = _pointer(context, builder, kinds[1], x, x0)
            taps = _pointer(context, builder, kinds[3], taps, t0)
            w = _pointer(context, builder, kinds[6], w, w0)
            init = _pointer(context, builder, kinds[8], init, i0)
            out = _pointer(context, builder, kinds[10], out, o0)

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
            x = _pointer(context, builder, kinds[1], x, x0)
            g = _pointer(context, builder, kinds[7], g, g0)
            out = _pointer(context, builder, kinds[10], out, o0)

            def emit(tile):
                tile.start(out, vectors * LANES)
                with cgutils.for_range(builder, h) as down:
                    x_row = builder.gep(x, [builder.mul(down.index, x_down)])
                    g_row = builder.gep(
                        g, [builder.mul(builder.mul(down.index, w), g_step)])
                    with cgutils.for_range(builder, w) as right:
                        tile.step(builder.gep(x_row, [builder.mul(right.index, x_right)]),
                                  builder.gep(g_row, [builder.mul(right.index, g_step)]))
                tile.finish(out, vectors * LANES)

            _for_each_height(builder, rows, vectors, emit)
            return context.get_dummy_value()
        return signature, generate
    return tile
