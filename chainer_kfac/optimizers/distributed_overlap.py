"""Reduction of factors while backpropagation goes on.

A layer's factors are on their way as soon as it is recorded. The sums need no knowledge of the
other layers or ranks: with N examples and R rows of a call and s terms of the loss,

    sum of N A_call, divided by the N of all ranks,
    sum of (s / (N * loss_scale))^2 R G_call, divided by the R s / N of all,

over calls and ranks, are the averages of `fisher.estimate`.
"""
import chainer

from chainer_kfac.communicators.background import Background
from chainer_kfac.communicators.packing import Item, Layout
from chainer_kfac.fisher.estimate import Use
from chainer_kfac.linalg import Workspace
from chainer_kfac.optimizers.distributed_shares import SIDES, Share, wide_dtype


class EarlyReduction:
    """The factors that were sent off during a backward pass.

    Args:
        comm (KroneckerCommunicator): collective, all ranks make one at the same time.
        packed, half (bool): as `DistributedKFAC` takes them.
    """

    def __init__(self, comm, packed: bool, half: bool):
        self._comm, self._packed, self._half = comm, packed, half
        self._background = Background(comm, 'early reduction')
        self._scratch = Workspace()
        self._under_way: list = []

    def send(self, share: Share, use: Use, terms: float | None, loss_scale: float | None) -> None:
        """Start on the factors of one call that are there, and that their owners want as such."""
        weights = {'A': float(use.examples)}
        if terms is not None:
            weights['G'] = (terms / use.examples / (loss_scale or 1.0)) ** 2 * use.rows
        factors = {side: getattr(use, side) for side in SIDES
                   if side in weights and getattr(use, side) is not None
                   and not share.keeps_rows(side)}
        if not factors:
            return
        layout = Layout([[Item(side, share.shape_of(side), self._packed, 'factors')
                          for side in factors if share.owners[side] == rank]
                         for rank in range(self._comm.size)])
        arrays = list(factors.values())
        # Several calls of a layer are under way at a time, each in a buffer of its own.
        buffer = self._scratch.take(
            len(self._under_way), (layout.size,), wide_dtype(arrays),
            chainer.backend.get_array_module(*arrays))
        for side, factor in factors.items():
            layout.pack(buffer, share.owners[side], side, factor, weights[side])
        self._comm.count(layout.bytes_by_purpose(buffer.itemsize))
        job = self._background.reduce_scatter(buffer, layout.counts, half=self._half)
        self._under_way.append((share, tuple(factors), layout, job))

    def sides(self) -> set[tuple[Share, str]]:
        """What is under way."""
        return {(share, side) for share, sides, *_ in self._under_way for side in sides}

    def discard(self) -> None:
        """Forget what a backward pass sent that an error broke off."""
        for *_, job in self._under_way:
            job.wait()
        self._under_way = []

    def finish(self) -> None:
        """Wait for all, and leave averages in the estimates of those who own them.

        To be called when the estimates' weights are those of all ranks.
        """
        under_way, self._under_way = self._under_way, []
        begun = set()
        for share, sides, layout, job in under_way:
            job.wait()
            estimate = share.block.estimate
            for side in sides:
                total = None
                if share.owns(side):
                    total = layout.take(job.buffer, self._comm.rank, side)
                    total /= (estimate.examples if side == 'A' else estimate.share) or 1.0
                    if (share, side) in begun:
                        total += getattr(estimate, side)
                begun.add((share, side))
                setattr(estimate, side, total)
