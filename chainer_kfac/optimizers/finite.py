"""Is any element of some arrays a NaN or an infinity?"""
import chainer
import numpy as np


def all_finite(arrays) -> bool:
    """Whether every element of all arrays is finite; one number is read from the device.

    A sum of squares is finite if the elements are, unless it overflows: only then are the
    elements looked at one by one, which costs several times more.
    """
    arrays = [array for array in arrays if array is not None and array.size]
    if not arrays:
        return True
    xp = chainer.backend.get_array_module(*arrays)
    with np.errstate(over='ignore', invalid='ignore'):
        total = sum(_square_sum(xp, array) for array in arrays)
    if bool(xp.isfinite(total)):
        return True
    return all(bool(xp.isfinite(array).all()) for array in arrays)


def _square_sum(xp, array):
    if array.dtype == np.float16 or not array.flags.c_contiguous:
        return xp.square(array, dtype=np.float32).sum()
    flat = array.ravel()
    return flat.dot(flat)
