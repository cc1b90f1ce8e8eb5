"""Running averages and damped sides through Chainer's serializers, and from device to device.

Chainer pickles a None into a snapshot and needs the right shape at hand to load an array. Here a
code says what is there, and it is loaded, to the host, with whatever shape it was saved.
Symmetric and triangular matrices take n (n + 1) / 2 numbers.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.sample_space import RowWindow
from chainer_kfac.fisher.sides import DenseSide, SampleSide
from chainer_kfac.linalg import pack_triangle, unpack_triangle

_NOTHING, _MATRIX, _STACK, _WINDOW = range(4)


def is_loading(serializer) -> bool:
    return isinstance(serializer, chainer.serializer.Deserializer)


def serialize_array(serializer, key: str, value):
    """Save ``value``, an array or None, or return what was saved under ``key``."""
    if not serializer('has_' + key, value is not None):
        return None
    return _array(serializer, key, value)


def serialize_average(serializer, average):
    """The same for a running average: a symmetric matrix, a stack of them, a window or None."""
    kind = _NOTHING if average is None else _WINDOW if isinstance(
        average, RowWindow) else _STACK if average.ndim == 3 else _MATRIX
    kind = serializer('kind', kind)
    if kind == _NOTHING:
        return None
    if kind == _WINDOW:
        return _window(serializer, average)
    if not is_loading(serializer):
        stack = average if kind == _STACK else average[None]
        xp = chainer.backend.get_array_module(average)
        serializer('triangles', xp.stack([pack_triangle(matrix) for matrix in stack]))
        return average
    stack = [unpack_triangle(flat) for flat in _array(serializer, 'triangles', None)]
    return np.stack(stack) if kind == _STACK else stack[0]


def serialize_side(serializer, side, average):
    """The same for a damped side, not None; one in sample space shares its ``average``'s rows."""
    if serializer('in_sample_space', isinstance(side, SampleSide)):
        return _sample_side(serializer, side, average)
    solve = serializer('solve', side is not None and side.solve)
    bias = serializer('bias', side is not None and bool(side.bias))
    if not is_loading(serializer):
        serializer('triangle', pack_triangle(side.matrix.T if solve else side.matrix))
        return side
    return DenseSide(unpack_triangle(_array(serializer, 'triangle', None)), solve, bias)


def average_to(device: chainer.backend.Device, average):
    """A running average on ``device``; a window is changed in place."""
    if not isinstance(average, RowWindow):
        return device.send(average)
    average.rows, average.gram = device.send((average.rows, average.gram))
    return average


def side_to(device: chainer.backend.Device, side, average) -> None:
    """Move a damped side, in place, next to its average."""
    if isinstance(side, DenseSide):
        side.matrix = device.send(side.matrix)
        return
    side.root, side.kernel = device.send((side.root, side.kernel))
    side.rows = average.rows if isinstance(average, RowWindow) else device.send(side.rows)


def _sample_side(serializer, side, average):
    rows = None if isinstance(average, RowWindow) or is_loading(serializer) else side.rows
    rows = serialize_array(serializer, 'rows', rows)    # only where the average has left them
    if not is_loading(serializer):
        serializer('root', side.root)
        serializer('kernel', side.kernel)
        serializer('term', float(side.term))
        serializer('bias', bool(side.bias))
        serializer('latest', np.array([side.latest.start, side.latest.stop]))
        return side
    return SampleSide(
        average.rows if rows is None else rows, _array(serializer, 'root', None),
        _array(serializer, 'kernel', None), serializer('term', 0.0), serializer('bias', False),
        slice(*_array(serializer, 'latest', None).tolist()))


def _window(serializer, window):
    if is_loading(serializer):
        window = RowWindow(serializer('length', 1), serializer('bias', False))
    else:
        serializer('length', window.length)
        serializer('bias', bool(window.bias))
    for name in ('rows', 'gram', 'weights', 'scales'):
        setattr(window, name, _array(serializer, name, getattr(window, name)))
    for name in ('newest', 'rows_of_newest'):
        setattr(window, name, serializer(name, int(getattr(window, name))))
    return window


def _array(serializer, key, value):
    if is_loading(serializer):
        return np.array(serializer(key, None))
    serializer(key, value)
    return value
