"""What every communicator offers beyond ChainerMN: collectives over flat buffers of unequal parts.

A subclass brings three primitives; float16 on the wire, counting and clocks are here. All methods
but `count` are collective: every rank of the communicator must call them in the same order, with
the same counts, purpose and ``half``.
"""
from collections.abc import Sequence

import chainer
import numpy as np

from chainer_kfac.communicators import wire
from chainer_kfac.communicators.packing import length_of, part_of, split_evenly
from chainer_kfac.communicators.traffic import Traffic
from chainer_kfac.linalg import Workspace


class KroneckerCommunicator:
    """Mixin for ChainerMN's communicators.

    Buffers are flat, C-contiguous, float32 or float64, the same on all ranks, and ordered by rank:
    part r, of ``counts[r]`` numbers, belongs to rank r. Scratch memory is allocated once.

    Attributes:
        traffic (Traffic): bytes and seconds by purpose.
    """

    def _prepare(self):
        self.traffic = Traffic()
        self._scratch = Workspace()

    # Primitives, of a subclass. `buffer` may hold 16-bit words, except in a sum.

    def _sum_scatter(self, buffer, counts, out):
        """Fill ``out`` by the sum over ranks of this rank's part."""
        raise NotImplementedError

    def _gather_parts(self, buffer, counts):
        """Fill every part of ``buffer`` from its rank, in place."""
        raise NotImplementedError

    def _exchange_parts(self, send, send_counts, receive, receive_counts):
        """Part r of ``send`` goes to rank r; part r of ``receive`` comes from there."""
        raise NotImplementedError

    # Collectives

    def reduce_scatter(self, buffer, counts: Sequence[int], purpose: str, *, half: bool = False):
        """The sum over ranks of this rank's part of ``buffer``.

        Args:
            buffer (array, (sum(counts),)): overwritten.
            half (bool): send float16 (`communicators.wire`); sums are of the buffer's own dtype.
        Returns:
            array, (counts[rank],): a view of ``buffer``.
        """
        own = part_of(buffer, counts, self.rank)
        with self.traffic.clock(purpose):
            if self.size == 1:
                return own
            if half:
                self._sum_scatter_halved(buffer, counts, own)
            else:
                xp = chainer.backend.get_array_module(buffer)
                total = self._scratch.take('sum', own.shape, own.dtype, xp)
                self._sum_scatter(buffer, counts, total)
                own[...] = total
        return own

    def all_gather(self, buffer, counts: Sequence[int], purpose: str, *,
                   half: bool = False) -> None:
        """Give every rank every part of ``buffer``, in place; all ranks end with the same bits."""
        if self.size == 1:
            return
        with self.traffic.clock(purpose):
            if not half:
                self._gather_parts(buffer, counts)
                return
            sizes = [wire.wire_size(count) for count in counts]
            words = self._words('gathered', sum(sizes), buffer)
            wire.encode(part_of(buffer, counts, self.rank), part_of(words, sizes, self.rank))
            self._gather_parts(words, sizes)
            for rank in range(self.size):
                wire.decode(part_of(words, sizes, rank), part_of(buffer, counts, rank))

    def all_reduce(self, buffer, purpose: str, *, half: bool = False) -> None:
        """Replace ``buffer`` by its sum over ranks; all ranks end with the same bits."""
        counts = [length_of(part) for part in split_evenly(len(buffer), self.size)]
        self.reduce_scatter(buffer, counts, purpose, half=half)
        self.all_gather(buffer, counts, purpose, half=half)

    def exchange(self, send, send_counts: Sequence[int], receive, receive_counts: Sequence[int],
                 purpose: str, *, half: bool = False) -> None:
        """Part r of ``send`` goes to rank r, and part r of ``receive`` comes from rank r.

        ``receive_counts`` are what the other ranks' ``send_counts`` say.
        """
        with self.traffic.clock(purpose):
            if not half:
                self._exchange_parts(send, send_counts, receive, receive_counts)
                return
            sizes = [[wire.wire_size(count) for count in counts]
                     for counts in (send_counts, receive_counts)]
            outgoing = self._words('sent', sum(sizes[0]), send)
            incoming = self._words('received', sum(sizes[1]), send)
            for rank in range(self.size):
                wire.encode(part_of(send, send_counts, rank), part_of(outgoing, sizes[0], rank))
            self._exchange_parts(outgoing, sizes[0], incoming, sizes[1])
            for rank in range(self.size):
                wire.decode(part_of(incoming, sizes[1], rank),
                            part_of(receive, receive_counts, rank))

    def numbers(self, values) -> np.ndarray:
        """A few numbers of every rank, by the host: (size, len(values)) float64."""
        values = np.asarray(values, np.float64)
        table = np.empty((self.size, len(values)))
        with self.traffic.clock('agreement'):
            self.mpi_comm.Allgather(values, table)
        return table

    def count(self, purposes: dict[str, int]) -> None:
        """Count bytes by purpose."""
        for purpose, size in purposes.items():
            self.traffic.count(purpose, size)

    def duplicate(self) -> 'KroneckerCommunicator':
        """The same ranks with channels of their own, for another thread."""
        return type(self)(self.mpi_comm.Dup())

    # ChainerMN's interface

    def multi_node_mean_grad(self, model: chainer.Link, zero_fill: bool = False) -> None:
        """Average the gradients of a link's parameters over ranks, in one fused buffer."""
        from chainermn.communicators import _memory_utility
        params = _memory_utility.extract_params_set_grad(model, zero_fill)
        params = [param for param in params if param.array is not None]
        for param in params:
            if param.grad is None:
                param.grad = param.xp.zeros_like(param.array)
        if not params or self.size == 1:
            return
        xp = params[0].xp
        dtype = np.result_type(np.float32, *(param.dtype for param in params))
        size = sum(param.size for param in params)
        buffer = self._scratch.take('gradients', (size,), dtype, xp)
        places, start = [], 0
        for param in params:
            places.append(slice(start, start + param.size))
            start += param.size
            buffer[places[-1]] = param.grad.ravel()
        self.traffic.count('gradients', buffer)
        self.all_reduce(buffer, 'gradients')
        buffer *= buffer.dtype.type(1.0 / self.size)
        for param, place in zip(params, places, strict=True):
            param.grad[...] = buffer[place].reshape(param.shape)

    def _sum_scatter_halved(self, buffer, counts, own):
        """Exchange float16 parts and add them up here, wider than they came."""
        sizes = [wire.wire_size(count) for count in counts]
        sizes[self.rank] = 0
        mine = [0 if rank == self.rank else wire.wire_size(len(own)) for rank in range(self.size)]
        outgoing = self._words('sent', sum(sizes), buffer)
        incoming = self._words('received', sum(mine), buffer)
        for rank in range(self.size):
            if rank != self.rank:
                wire.encode(part_of(buffer, counts, rank), part_of(outgoing, sizes, rank))
        self._exchange_parts(outgoing, sizes, incoming, mine)
        for rank in range(self.size):
            if rank != self.rank:
                wire.decode(part_of(incoming, mine, rank), own, add=True)

    def _words(self, name, size, like):
        return self._scratch.take(name, (size,), np.uint16, chainer.backend.get_array_module(like))
