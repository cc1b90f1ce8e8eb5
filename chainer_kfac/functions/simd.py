"""LLVM's vector instructions for use in numba intrinsics: vectors of `LANES` numbers."""
from llvmlite import ir
from numba.core import cgutils

from chainer_kfac.functions.compilation import LANES

FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTS = ir.VectorType(ir.IntType(32), LANES)
SHORTS = ir.VectorType(ir.IntType(16), LANES)


def pointer(context, builder, array_type, array, offset):
    """Address of element ``offset`` of a numba array that is contiguous from there on."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def moved(builder, place, offset):
    """Address ``offset`` elements on; a Python number or an LLVM value."""
    return builder.gep(place, [ir.IntType(64)(offset) if isinstance(offset, int) else offset])


def _bytes(kind):
    return 4 if kind == FLOATS else kind.element.width // 8


def load(builder, place, offset=0, kind=FLOATS):
    """The vector that starts ``offset`` elements after ``place``, aligned or not."""
    vector = builder.bitcast(moved(builder, place, offset), kind.as_pointer())
    return builder.load(vector, align=_bytes(kind))


def store(builder, value, place, offset=0):
    """Store a vector where `load` would find it."""
    vector = builder.bitcast(moved(builder, place, offset), value.type.as_pointer())
    builder.store(value, vector, align=_bytes(value.type))


def splat(builder, number):
    """A vector with ``number`` in each lane."""
    kind = ir.VectorType(number.type, LANES)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))


def constant(kind, number):
    """A constant vector."""
    return ir.Constant(kind, [number] * LANES)


def multiply_add(builder, a, b, c):
    """a * b + c, rounded once where the processor can."""
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(FLOATS, [FLOATS] * 3), 'llvm.fmuladd.v{}f32'.format(LANES))
    return builder.call(function, [a, b, c])
