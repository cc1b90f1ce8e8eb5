"""Which arrays the kernels take, and in which order their numbers lie in memory."""
import chainer
import numpy as np
from chainer.backends import intel64


def compilable(node: chainer.FunctionNode, *arrays) -> bool:
    """True if the kernels take these arrays and no other backend claims the node."""
    return (ordinary(*arrays) and not node._is_chainerx_fallback_mode
            and not (intel64.should_use_ideep('>=auto') and intel64.inputs_all_ready(arrays)))


def ordinary(*arrays) -> bool:
    """True if all are NumPy arrays of float32, of no subclass, and none is empty."""
    return all(type(a) is np.ndarray and a.dtype == np.float32 and a.size for a in arrays)


def readable(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy of one that a kernel cannot take: read-only or misaligned."""
    flags = array.flags
    return array if flags.writeable and flags.aligned else array.copy()


def channels_last(array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) to a C-contiguous (N, H, W, C): a view where the memory lies so already."""
    return readable(np.ascontiguousarray(array.transpose(0, 2, 3, 1)))


def channels_first(array: np.ndarray) -> np.ndarray:
    """(N, H, W, C) to a view (N, C, H, W), the strides of Chainer's own convolution."""
    return array.transpose(0, 3, 1, 2)


def in_memory_order(*arrays: np.ndarray) -> list | None:
    """One-dimensional views of arrays that lie densely in memory, all in the same order.

    Returns:
        list of numpy.ndarray, or None if one of them has gaps or another order than the first.
    """
    first = arrays[0]
    axes = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
    turned = [array.transpose(axes) for array in arrays]
    if all(a.shape == first.shape and t.flags.c_contiguous
           for a, t in zip(arrays, turned, strict=True)):
        return [readable(t).reshape(-1) for t in turned]
    return None
