"""What this rank has to do with each Fisher block, and what its peers have."""
from typing import Any, NamedTuple

import numpy as np

from chainer_kfac.communicators.assignment import LayerWork, Ownership, assign, team_size
from chainer_kfac.communicators.packing import split_evenly
from chainer_kfac.fisher import FisherBlock
from chainer_kfac.fisher.sample_space import RowWindow

SIDES = ('A', 'G')

OPERATION, BYTE = 1e-11, 8e-10
"""Seconds of an operation of a product and of a byte that is packed, sent and unpacked."""


class Team(NamedTuple):
    """The ranks that share layers with this one.

    Attributes:
        comm (KroneckerCommunicator): of those ranks alone.
        ranks (tuple of int): their ranks among all.
        rank (int): this one's place among them.
    """

    comm: Any
    ranks: tuple[int, ...]
    rank: int


class Share:
    """One block's place among the ranks. The same on every rank but for ``rank``.

    Attributes:
        block (FisherBlock)
        index (int): of the block among the optimizer's.
        team_comm (Team): the team that this rank is in, if the layer is shared.
        team (tuple of int), owners (dict of int): `assignment.Ownership`.
        has_factors, has_inverses (bool): whether their owners and users have them.
        inverted_with (tuple or None): what the inverses were built with, if the averages are
            still the same.
        mode (str): what this step preconditions: 'rows', 'whole' (gradient) or 'plain' (nothing).
        sends_rows (dict of bool): whether the owner of a dense factor is sent rows to make it of.
        local (dict of arrays): this rank's rows of this step, scaled as part of the whole batch.
        counts (list of int): how many each rank has.
    """

    def __init__(self, index: int, block: FisherBlock, ownership: Ownership, rank: int,
                 team_comm: Team):
        self.index, self.block, self.rank, self.team_comm = index, block, rank, team_comm
        self.team = ownership.team
        self.owners = {'A': ownership.A, 'G': ownership.G}
        self.has_factors = block.factors.ready
        self.has_inverses = block.factors.sides is not None
        self.inverted_with = None
        self.mode = 'plain'
        self.sends_rows = dict.fromkeys(SIDES, False)
        self.local = {}
        self.counts = []

    @property
    def is_shared(self) -> bool:
        """Whether several ranks precondition."""
        return len(self.team) > 1

    @property
    def is_member(self) -> bool:
        """Whether this rank does."""
        return self.rank in self.team

    def owns(self, side: str) -> bool:
        """Whether this rank averages and inverts that factor."""
        return self.owners[side] == self.rank

    def keeps_rows(self, side: str) -> bool:
        """Whether the running average is a window of rows, which the whole team has."""
        path = self.block.factors.path
        return path.rows_A if side == 'A' else path.rows_G

    def holds(self, side: str) -> bool:
        """Whether this rank has the running average of a factor."""
        return self.is_member if self.keeps_rows(side) else self.owns(side)

    def size_of_side(self, side: str) -> int:
        """Width of the matrix that its inverse is kept as, one group of channels."""
        average = getattr(self.block.factors, side)
        if self.keeps_rows(side):
            return len(average.rows)
        return self.shape_of(side)[-1]

    def shape_of(self, side: str) -> tuple[int, ...]:
        """Shape of a dense factor."""
        block = self.block
        outputs = len(block.W.array)
        width = block.W.size // outputs + (block.b is not None)
        if side == 'G':
            width = outputs // block.groups
        return (width, width) if block.groups == 1 else (block.groups, width, width)

    def outputs_of(self, rank: int) -> slice:
        """The rows of the weight's direction that ``rank`` computes."""
        outputs = len(self.block.W.array)
        if rank not in self.team:
            return slice(0, 0)
        return split_evenly(outputs, len(self.team))[self.team.index(rank)]

    def release(self) -> None:
        """Let go of what is other ranks' to keep."""
        factors = self.block.factors
        for side in SIDES:
            if not self.holds(side):
                setattr(factors, side, None)
        if not self.is_member:
            factors.sides = None


def with_new_blocks(optimizer, survey) -> list[Share]:
    """The shares of an optimizer, with those of blocks that were planned since the last step."""
    shares = list(optimizer.shares)
    known = {share.index for share in shares}
    new = [(i, block) for i, block in enumerate(optimizer.blocks)
           if block.planned and i not in known and block.W.array is not None]
    if not new:
        return shares
    comm = optimizer.comm
    if optimizer.team is None:
        optimizer.team = _team(comm, team_size(optimizer.fraction, comm.size))
    width = len(optimizer.team.ranks)
    works = [_work(block, int(survey.field(i, 'rows').sum()),
                   optimizer.interval('inverse_update_interval'), width,
                   optimizer.fraction is None) for i, block in new]
    owners = assign(works, comm.size, width)
    found = [Share(i, block, ownership, comm.rank, optimizer.team)
             for (i, block), ownership in zip(new, owners, strict=True)]
    for share in found:
        share.release()
    return sorted(shares + found, key=lambda share: share.index)


def choose_modes(optimizer, survey) -> None:
    """Decide, alike on all ranks, what each layer preconditions in this step."""
    for share in optimizer.shares:
        block = share.block
        will_have = share.has_factors or (survey.seen[share.index] and optimizer.factors_due)
        if not block.enabled or not will_have:
            share.mode = 'plain'
        elif optimizer.goes_by_rows(block, survey.has_rows(share.index)):
            share.mode = 'rows'
        else:
            share.mode = 'whole'


def _team(comm, width):
    if width == comm.size:
        return Team(comm, tuple(range(comm.size)), comm.rank)
    first = comm.rank - comm.rank % width
    apart = comm.split(first, comm.rank)
    apart.traffic = comm.traffic        # what a team sends is part of what is sent
    return Team(apart, tuple(range(first, first + width)), comm.rank - first)


def _work(block, rows, interval, width, only_where_it_pays):
    path = block.factors.path
    outputs = len(block.W.array)
    n, m = outputs // block.groups, block.W.size // outputs + (block.b is not None)
    held = rows * path.window
    costs, numbers = {}, 0.0
    for side, dim, in_rows in (('A', m, path.rows_A), ('G', n, path.rows_G)):
        size = held if in_rows else dim
        costs[side] = block.groups * size ** 3 / (3.0 if in_rows or path.solve else 1.0) / interval
        numbers += size * (size + 1) / 2 / interval
    rest = 2.0 * block.groups * n * m * (n + m)
    if path.thin and rows:
        rest = min(rest, 2.0 * rows * (n * n + m * m + n * m))
    rest += 2.0 * rows * held * (path.rows_A * m + path.rows_G * n) / interval    # inner products
    pays = rest * (1 - 1 / width) * OPERATION > 4 * (numbers + n * m) * BYTE
    return LayerWork(costs['A'], costs['G'], rest,
                     block.groups == 1 and n >= width and (pays or not only_where_it_pays))


def rows_are_cheaper(rows: int, dim: int, size: int) -> bool:
    """Whether an owner should be sent the rows of a dense factor instead of everybody's factors.

    Rows: rows * dim numbers, and the whole product for the owner to do; factors:
    dim (dim + 1) / 2 numbers, and each rank its part of the product.
    """
    extra = 2.0 * rows * dim ** 2 / 2 * (1 - 1 / size) * OPERATION + 4.0 * rows * dim * BYTE
    return extra < 4.0 * (dim * (dim + 1) // 2) * BYTE


def is_window(average) -> bool:
    """Whether a running average is kept as rows."""
    return isinstance(average, RowWindow)


def wide_dtype(arrays) -> np.dtype:
    """The dtype of a buffer for these arrays: float32 or float64."""
    return np.result_type(np.float32, *{array.dtype for array in arrays if array is not None})
