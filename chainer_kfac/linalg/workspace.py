"""Scratch memory and constant tables that live from one step to the next."""
import math


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
        """The result of ``make()`` at the first call with ``key``: tables that never change."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]
