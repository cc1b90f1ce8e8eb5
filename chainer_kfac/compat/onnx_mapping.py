"""``onnx.mapping``, three tables that ``onnx_chainer`` reads and that onnx has removed.

onnx has functions in their place; the tables are made from those, for the dtypes of NumPy.
"""
import importlib
import sys
import types

from chainer_kfac.compat.patches import Patch

_DTYPES = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?', 'c8', 'c16', 'O')


def restore_tables():
    """Put ``onnx.mapping`` in place if onnx is installed and has none."""
    try:
        helper = importlib.import_module('onnx.helper')
        importlib.import_module('onnx.mapping')
        return False
    except ImportError:
        if 'onnx.helper' not in sys.modules:
            return False
    import numpy
    import onnx
    mapping = types.ModuleType('onnx.mapping')
    mapping.NP_TYPE_TO_TENSOR_TYPE = {
        dtype: int(helper.np_dtype_to_tensor_dtype(dtype)) for dtype in map(numpy.dtype, _DTYPES)}
    mapping.TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE = {
        kind: helper.tensor_dtype_to_storage_tensor_dtype(kind)
        for kind in mapping.NP_TYPE_TO_TENSOR_TYPE.values()}
    mapping.STORAGE_TENSOR_TYPE_TO_FIELD = {
        kind: helper.tensor_dtype_to_field(kind)
        for kind in mapping.TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE.values()}
    sys.modules['onnx.mapping'] = onnx.mapping = mapping
    return True


def patches():
    """One patch, applied when ``onnx_chainer`` (part of Chainer 7) is imported.

    Returns:
        list of Patch.
    """
    return [Patch('onnx.mapping', 'onnx_chainer',
                  'onnx does not have it any more', before=restore_tables)]
