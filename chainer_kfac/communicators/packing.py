"""The plan of one flat buffer that holds many arrays, ordered by the rank each part belongs to.

A symmetric matrix takes n(n+1)/2 numbers: its upper triangle, row by row. A stack of them (groups
of channels) is packed one after the other. Pure bookkeeping: it runs on NumPy and CuPy alike.
"""
import itertools
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import chainer

from chainer_kfac.linalg import pack_triangle, triangle_size, unpack_triangle


class Item(NamedTuple):
    """One array of a buffer.

    Attributes:
        key (hashable): its name in the layout.
        shape (tuple of int): of the array; ``(n, n)`` or ``(groups, n, n)`` if ``triangle``.
        triangle (bool): whether it is symmetric and only its upper triangle is stored.
        purpose (str): under which its bytes are counted.
    """

    key: Hashable
    shape: tuple[int, ...]
    triangle: bool = False
    purpose: str = ''

    @property
    def size(self) -> int:
        """Numbers in the buffer."""
        if not self.triangle:
            return math.prod(self.shape)
        return math.prod(self.shape[:-2]) * triangle_size(self.shape[-1])


class Layout:
    """Where each item of each rank's part lies.

    Args:
        parts (list of list of Item): one list for each rank, in rank order; a part may be empty.

    Attributes:
        counts (list of int): numbers in each part.
        starts (list of int): where each part begins.
        size (int): numbers in all.
    """

    def __init__(self, parts: Sequence[Sequence[Item]]):
        self.parts = [list(part) for part in parts]
        self.counts = [sum(item.size for item in part) for part in self.parts]
        self.starts = starts_of(self.counts)
        self.size = sum(self.counts)
        self._places = {}
        start = 0
        for rank, part in enumerate(self.parts):
            for item in part:
                if (rank, item.key) in self._places:
                    raise ValueError('{!r} is twice in the part of rank {}'.format(item.key, rank))
                self._places[rank, item.key] = item, slice(start, start + item.size)
                start += item.size

    def part(self, buffer, rank: int):
        """The part of ``rank``: a view of ``buffer``, (size,)."""
        return part_of(buffer, self.counts, rank)

    def view(self, buffer, rank: int, key):
        """The numbers of one item: a flat view of ``buffer``."""
        return buffer[self._places[rank, key][1]]

    def pack(self, buffer, rank: int, key, array, scale: float = 1.0) -> None:
        """Write ``scale * array`` to its place; None is written as zeros."""
        item, place = self._places[rank, key]
        flat = buffer[place]
        if array is None:
            flat[...] = 0
            return
        if array.shape != item.shape:
            raise ValueError('{!r} has shape {}, not {}'.format(key, array.shape, item.shape))
        if item.triangle:
            for one, out in zip(_matrices(array), flat.reshape(-1, triangle_size(len(array.T)))):
                pack_triangle(one, out=out)
        else:
            flat.reshape(item.shape)[...] = array
        if scale != 1.0:
            flat *= flat.dtype.type(scale)

    def unpack(self, buffer, rank: int, key, out=None):
        """An item as an array of its shape.

        Returns:
            array: ``out``, or a view of ``buffer``, or new memory for a triangle.
        """
        item, place = self._places[rank, key]
        flat = buffer[place]
        if not item.triangle:
            whole = flat.reshape(item.shape)
            if out is None:
                return whole
            out[...] = whole
            return out
        if out is None:
            out = _empty_like(flat, item.shape)
        for flat_one, one in zip(flat.reshape(-1, triangle_size(item.shape[-1])), _matrices(out)):
            unpack_triangle(flat_one, out=one)
        return out

    def take(self, buffer, rank: int, key):
        """An item as an array of its shape, in memory of its own."""
        found = self.unpack(buffer, rank, key)
        return found if self._places[rank, key][0].triangle else found.copy()

    def bytes_by_purpose(self, itemsize: int) -> dict[str, int]:
        """Bytes of all parts, by the purpose of the items."""
        total = {}
        for part in self.parts:
            for item in part:
                total[item.purpose] = total.get(item.purpose, 0) + item.size * itemsize
        return total


def starts_of(counts: Sequence[int]) -> list[int]:
    """Where each part of a flat buffer begins."""
    return list(itertools.accumulate(counts, initial=0))[:-1]


def part_of(buffer, counts: Sequence[int], rank: int):
    """The part of ``rank``, of ``counts[rank]`` numbers: a view of ``buffer``."""
    start = sum(counts[:rank])
    return buffer[start:start + counts[rank]]


def length_of(piece: slice) -> int:
    """How many numbers a piece with both ends has."""
    return piece.stop - piece.start


def split_evenly(length: int, parts: int) -> list[slice]:
    """``parts`` slices that cover ``length``, their lengths at most 1 apart."""
    edges = [length * i // parts for i in range(parts + 1)]
    return [slice(start, stop) for start, stop in zip(edges, edges[1:])]


def cut_evenly(sizes: dict[Hashable, int], parts: int) -> list[list[tuple[Hashable, slice]]]:
    """Cut flat arrays, laid end to end, into ``parts`` pieces of equal length.

    Args:
        sizes (dict): length by key, in the order they are laid.
    Returns:
        list over parts of [(key, slice of that array), ...]; some may be empty.
    """
    pieces = []
    for whole in split_evenly(sum(sizes.values()), parts):
        piece, start = [], 0
        for key, size in sizes.items():
            low, high = max(whole.start, start), min(whole.stop, start + size)
            if low < high:
                piece.append((key, slice(low - start, high - start)))
            start += size
        pieces.append(piece)
    return pieces


def _matrices(array):
    return array if array.ndim == 3 else array[None]


def _empty_like(flat, shape):
    return chainer.backend.get_array_module(flat).empty(shape, flat.dtype)
