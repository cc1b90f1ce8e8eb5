"""Scratch memory and constant tables that live from one step to the next."""
import math

TABLES = 128
"""More than a network has layers of different sizes; images of many sizes would fill any memory."""


class Workspace:
    """Named scratch arrays, allocated once and reused while they are large enough.

    Fresh memory of tens of megabytes costs more to map in than to compute in. Contents are
    undefined at every `take`; nothing here belongs to a snapshot.
    """

    def __init__(self):
        self._arrays = {}
        self._kept = {}

    def take(self, key, shape, dtype, xp):
        """Uninitialised C-contiguous array, valid until the next ``take`` of the same ``key``.

        Args:
            key (hashable): name of the array within this workspace.
            shape (tuple of int), dtype, xp (module): what to return, numpy or CuPy.
        """
        size = math.prod(shape)
        key = key, xp.dtype(dtype), xp.__name__
        held = self._arrays.get(key)
        if held is None or held.size < size:
            held = self._arrays[key] = xp.empty(size, dtype)
        return held[:size].reshape(shape)

    def keep(self, key, make):
        """Tables that never change: the result of ``make()`` at the first call with ``key``.

        The `TABLES` that were asked for last are kept.
        """
        table = self._kept.pop(key, None)
        if table is None:
            table = make()
        self._kept[key] = table     # the newest is the last
        if len(self._kept) > TABLES:
            del self._kept[next(iter(self._kept))]
        return table
