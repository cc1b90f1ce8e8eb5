"""Is any element of some arrays a NaN or an infinity?"""
import chainer
import numpy as np

from chainer_kfac.linalg.reading import is_on_host, read


def finite_flags(arrays: list):
    """For each array whether all of its elements are finite.

    Returns:
        list of bool; or, of arrays on a device, an int32 array there of zeros and ones, unread.
    """
    if all(is_on_host(array) for array in arrays):
        with np.errstate(over='ignore', invalid='ignore'):
            return [_is_finite(array) for array in arrays]
    flags = chainer.backend.get_array_module(*arrays).ones(len(arrays), np.int32)
    kernel = chainer.backends.cuda.elementwise(
        'T x', 'raw int32 is_finite', 'if (!isfinite(x)) is_finite[0] = 0', 'kfac_finite')
    for i, array in enumerate(arrays):
        if array.size:
            kernel(array, flags[i:i + 1])
    return flags


def all_finite(arrays) -> bool:
    """Whether every element of all arrays is finite; one wait if they are on a device."""
    arrays = [array for array in arrays if array is not None]
    return bool(np.all(read(finite_flags(arrays))[0]))


def _is_finite(array):
    """A sum of squares is finite if the elements are, unless it overflows.

    Only then are the elements looked at one by one, which costs several times more.
    """
    return not array.size or bool(np.isfinite(_square_sum(array)) or np.isfinite(array).all())


def _square_sum(array):
    if array.dtype == np.float16 or not array.flags.c_contiguous:
        return np.square(array, dtype=np.float32).sum()
    flat = array.ravel()
    return flat.dot(flat)
