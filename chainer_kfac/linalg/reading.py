"""Numbers that a computation has left on the device, and the one way by which the host reads them.

A read makes the host wait until the device has done all that was queued. Between two reads it only
queues work, so a step asks for all that it must know at once: `read`.
"""
import chainer
import numpy as np


def is_on_host(value) -> bool:
    """Whether looking at a number, or at an array, waits for nothing."""
    return chainer.backend.get_array_module(value) is np


def read(*values) -> list[np.ndarray]:
    """The numbers in some arrays, on the host: the device is waited for once, however many.

    Args:
        values (arrays or numbers): of any shape, on the host or on one device.
    Returns:
        list of numpy arrays, (size,), one for each of ``values``. What comes from the device has
        the dtype that holds all of it.
    """
    found = [np.reshape(value, -1) if is_on_host(value) else None for value in values]
    waiting = [i for i, array in enumerate(found) if array is None]
    if waiting:
        flat = [values[i].reshape(-1) for i in waiting]
        xp = chainer.backend.get_array_module(*flat)
        joined = chainer.backends.cuda.to_cpu(xp.concatenate(flat))
        ends = np.cumsum([array.size for array in flat])
        for i, piece in zip(waiting, np.split(joined, ends[:-1]), strict=True):
            found[i] = piece
    return found


class Later:
    """A number that may still be on the device: `float` waits for it, unless it has been `set`.

    Attributes:
        array (array, ()): the number where it is.
    """

    def __init__(self, array):
        self.array = array
        self._value = None

    def set(self, value: float) -> None:
        """Take the number over from a `read` of several."""
        self._value = float(value)

    def __float__(self):
        if self._value is None:
            self.set(read(self.array)[0][0])
        return self._value
