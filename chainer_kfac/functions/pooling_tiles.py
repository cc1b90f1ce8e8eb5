"""Max pooling of `LANES` channels of one window, in LLVM's vector instructions.

Maximum and place stay in registers through the window. Written as loops over channels, each tap
would reread and rewrite them, and check first that no two of the arrays overlap.
"""
import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from chainer_kfac.functions import simd


@intrinsic
def maximum_tile(typingctx, x, x0, down, right, top, bottom, first, last, window, y, index, o0):
    """y[o0 + lane], index[o0 + lane] = maximum of the window and number of its tap.

    Tap (a, b), top <= a < bottom and first <= b < last, is a * window + b and lies at
    x[x0 + a * down + b * right + lane]. Starts from -infinity and tap 0; the first of equal numbers
    counts; a NaN is larger than all numbers. All arrays one-dimensional, the rest integers.
    """
    intp = types.intp
    signature = types.void(x, *[intp] * 8, y, index, intp)

    def generate(context, builder, signature, args):
        x, x0, down, right, top, bottom, first, last, window, y, index, o0 = args
        x = simd.pointer(context, builder, signature.args[0], x, x0)
        best = cgutils.alloca_once(builder, simd.FLOATS)
        where = cgutils.alloca_once(builder, simd.INTS)
        builder.store(simd.constant(simd.FLOATS, -math.inf), best)
        builder.store(simd.constant(simd.INTS, 0), where)
        with cgutils.for_range_slice(builder, top, bottom, top.type(1)) as (a, _), \
                cgutils.for_range_slice(builder, first, last, first.type(1)) as (b, _):
            values = simd.load(builder, builder.gep(
                x, [builder.add(builder.mul(a, down), builder.mul(b, right))]))
            tap = builder.add(builder.mul(a, window), b)
            so_far = builder.load(best)
            larger = builder.and_(builder.fcmp_unordered('>', values, so_far),
                                  builder.fcmp_ordered('ord', so_far, so_far))
            taps = simd.splat(builder, builder.trunc(tap, ir.IntType(32)))
            builder.store(builder.select(larger, values, so_far), best)
            builder.store(builder.select(larger, taps, builder.load(where)), where)
        simd.store(builder, builder.load(best),
                   simd.pointer(context, builder, signature.args[9], y, o0))
        simd.store(builder, builder.trunc(builder.load(where), simd.SHORTS),
                   simd.pointer(context, builder, signature.args[10], index, o0))
        return context.get_dummy_value()
    return signature, generate


@intrinsic
def scatter_tile(typingctx, gy, index, o0, down, right, top, bottom, first, last, window, gx, x0):
    """gx[x0 + a * down + b * right + lane] += gy[o0 + lane] if index[o0 + lane] is that tap's.

    Taps as in `maximum_tile`.
    """
    intp = types.intp
    signature = types.void(gy, index, *[intp] * 8, gx, intp)

    def generate(context, builder, signature, args):
        gy, index, o0, down, right, top, bottom, first, last, window, gx, x0 = args
        gradient = simd.load(builder, simd.pointer(context, builder, signature.args[0], gy, o0))
        where = builder.zext(simd.load(
            builder, simd.pointer(context, builder, signature.args[1], index, o0),
            kind=simd.SHORTS), simd.INTS)
        gx = simd.pointer(context, builder, signature.args[10], gx, x0)
        with cgutils.for_range_slice(builder, top, bottom, top.type(1)) as (a, _), \
                cgutils.for_range_slice(builder, first, last, first.type(1)) as (b, _):
            tap = builder.add(builder.mul(a, window), b)
            here = builder.icmp_unsigned(
                '==', where, simd.splat(builder, builder.trunc(tap, ir.IntType(32))))
            place = builder.gep(gx, [builder.add(builder.mul(a, down), builder.mul(b, right))])
            share = builder.select(here, gradient, simd.constant(simd.FLOATS, 0.0))
            simd.store(builder, builder.fadd(simd.load(builder, place), share), place)
        return context.get_dummy_value()
    return signature, generate
