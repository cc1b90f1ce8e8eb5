"""Averaging over ranks: what each saw, its gradients, and its factors.

The ranks' batches add up to one batch as micro-batches do (`fisher.estimate`): with N examples,
s terms of the loss and R rows on each rank, gradients are averaged with weights s, A with weights
N and G with weights R s / N. Batches may be of different sizes.
"""
import chainer
import numpy as np

from chainer_kfac.communicators.packing import Item, Layout, cut_evenly, length_of
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.sides import join
from chainer_kfac.linalg import symmetric_product
from chainer_kfac.optimizers import distributed_rows
from chainer_kfac.optimizers.distributed_shares import SIDES, wide_dtype
from chainer_kfac.optimizers.update_rule import rule_of

_FIELDS = ('examples', 'terms', 'share', 'rows', 'sampled', 'kinds')
_A, _G, _ROWS, _SAMPLED, _PARTIAL, _UNFORMED = (1 << bit for bit in range(6))


class Survey:
    """What every rank brings to this step.

    Attributes:
        weights (array, (size,)): share of each rank in the terms of the loss.
        seen (list of bool): by block, whether any rank has recorded it.
    """

    def __init__(self, comm, blocks, terms: float, examples: int):
        self.rank = comm.rank
        values = [terms]
        for block in blocks:
            values += _facts(block, terms, examples)
        table = comm.numbers(values)
        self.weights = _shares(table[:, 0])
        self._table = table[:, 1:].reshape(comm.size, len(blocks), len(_FIELDS))
        self._kinds = self._table[:, :, -1].astype(int)
        self.seen = [bool(self.field(i, 'rows').any()) for i in range(len(blocks))]
        for i, block in enumerate(blocks):
            self._check(i, block)

    def field(self, block: int, name: str) -> np.ndarray:
        """A number of every rank."""
        return self._table[:, block, _FIELDS.index(name)]

    def has(self, block: int, kind: int) -> bool:
        """Whether ranks recorded this kind of thing."""
        return bool((self._kinds[:, block] & kind).any())

    def has_rows(self, block: int) -> bool:
        """Whether ranks recorded rows."""
        return self.has(block, _ROWS)

    def own_share(self, block: int, name: str) -> float:
        """This rank's share of the sum of a field."""
        return float(_shares(self.field(block, name))[self.rank])

    def _check(self, i, block):
        kinds = self._kinds[:, i]
        kinds = kinds[self.field(i, 'rows') > 0] & ~_PARTIAL
        if len(kinds) and (kinds != kinds[0]).any():
            raise ConfigError('the ranks recorded different things of {}: give every rank the '
                              'same model, loss and hooks'.format(block.name))


def _facts(block, terms, examples):
    """The `_FIELDS` of one rank; its N and s count for layers that it does not use, too."""
    estimate = block.estimate
    kinds = (_A * (estimate.A is not None) + _G * (estimate.G is not None)
             + _ROWS * estimate.has_rows + _SAMPLED * estimate.is_sampled
             + _PARTIAL * (not estimate.is_entire) + _UNFORMED * block.unformed)
    sampled = len(estimate.rows_G[0]) if estimate.is_sampled else 0
    rows = len(estimate.inputs) if estimate.has_rows else estimate.examples
    return examples, terms, estimate.share, rows, sampled, kinds


def _shares(values):
    total = values.sum()
    return values / total if total else values


def merge_estimates(optimizer, survey: Survey) -> None:
    """Make every block's estimate, but for its factors, that of the batch of all ranks."""
    for i, block in enumerate(optimizer.blocks):
        if not survey.seen[i]:
            continue
        estimate = block.estimate
        estimate.is_entire = not survey.has(i, _PARTIAL)
        block.unformed = survey.has(i, _UNFORMED)
        if block.unformed:          # also where this rank did not use the layer
            block.W.cleargrad()
        for name in ('examples', 'terms', 'share'):
            setattr(estimate, name, float(survey.field(i, name).sum()))


def exchange_rows(optimizer, survey: Survey, local: list[dict]) -> None:
    """Send rows to where they are needed and leave them in the estimates, scaled.

    Args:
        local (list of dict): by block, `distributed_rows.scaled_rows`.
    """
    comm = optimizer.comm
    wanted = []
    for share in optimizer.shares:
        i = share.index
        share.local = local[i]
        share.counts = survey.field(i, 'rows').astype(int).tolist()
        if not survey.has(i, _ROWS):
            continue
        is_sampled = survey.has(i, _SAMPLED)
        makes_factors = optimizer.factors_due
        for kind in distributed_rows.KINDS:
            if kind == 'sampled' and not is_sampled:
                continue
            counts = survey.field(i, 'sampled' if kind == 'sampled' else 'rows')
            counts = counts.astype(int).tolist()
            distributed_rows.choose_for_dense(share, sum(counts), comm.size)
            if survey.has(i, _G):
                share.sends_rows['G'] = False
            to = distributed_rows.destinations(share, kind, counts, makes_factors, is_sampled)
            width = share.block.W.size // len(share.block.W.array) if kind == 'x' else len(
                share.block.W.array)
            if to:
                wanted.append(((i, kind), local[i].get(kind), width, counts, to))
    whole = distributed_rows.gather(
        comm, wanted, optimizer.scratch, optimizer.half,
        [share.block.W.array for share in optimizer.shares])
    for share in optimizer.shares:
        rows = dict(local[share.index])
        rows.update({kind: found for (i, kind), found in whole.items() if i == share.index})
        share.block.estimate.set_rows(rows)


class Reduction:
    """One fused buffer of gradients and factors, scattered to those who need the sums.

    Factors go to their owners, gradients of a layer that one rank preconditions go to it, and
    the others, in equal pieces, to all ranks, which then give them to each other.

    Args:
        optimizer (DistributedKFAC)
        survey (Survey): of this step.
        local (list of dict): by block, the rows of this rank.
        early (set of (Share, str)): factors that are on their way already.
    """

    def __init__(self, optimizer, survey: Survey, local: list[dict], early: set):
        self._optimizer = optimizer
        self._comm = optimizer.comm
        self._weight = float(survey.weights[self._comm.rank])
        self._factors = self._contributions(survey, local, early) if optimizer.factors_due else {}
        self._alone, self._together = self._gradients()
        self._pieces = cut_evenly({name: param.size for name, param in self._together.items()},
                                  self._comm.size)
        self._layout = Layout([self._part(rank) for rank in range(self._comm.size)])

    def _contributions(self, survey, local, early):
        """{(share, side): (factor or None, this rank's weight)}; not what is ``early`` sent."""
        found = {}
        for share in self._optimizer.shares:
            i, estimate = share.index, share.block.estimate
            if not survey.seen[i]:
                continue
            for side in SIDES:
                if share.keeps_rows(side) or (share, side) in early:
                    continue
                weight = survey.own_share(i, 'examples' if side == 'A' else 'share')
                if survey.has(i, _A if side == 'A' else _G):
                    found[share, side] = getattr(estimate, side), weight
                elif not share.sends_rows[side]:
                    found[share, side] = _product(share, side, local[i]), 1.0
        return found

    def _gradients(self):
        """Parameters whose gradients go to one rank, and to all: {name: (rank, param)}."""
        alone, together = {}, {}
        place = {id(param): share for share in self._optimizer.shares
                 for param in share.block.params}
        everywhere = self._optimizer.hooks_need_gradients
        for name, param in self._optimizer.target.namedparams(include_uninit=False):
            share = place.get(id(param))
            follows_itself = rule_of(param) is not param.update_rule
            if share is None or share.mode == 'plain' or everywhere or follows_itself:
                if param.grad is not None:
                    together[name] = param
            elif share.mode == 'whole' or self._optimizer.kl_clip is not None:
                if share.is_shared:
                    together[name] = param
                else:
                    alone[name] = share.team[0], param
        return alone, together

    def _part(self, rank):
        items = [Item((share.index, side), share.shape_of(side), self._optimizer.packed,
                      'factors')
                 for share, side in self._factors if share.owners[side] == rank]
        items += [Item(name, param.shape, purpose='gradients')
                  for name, (owner, param) in self._alone.items() if owner == rank]
        return items + self._piece_items(rank)

    def _piece_items(self, rank):
        return [Item((name, piece.start), (length_of(piece),), purpose='gradients')
                for name, piece in self._pieces[rank]]

    def run(self) -> None:
        """Collective. Leaves sums where they belong: in estimates and in ``param.grad``."""
        layout, comm, optimizer = self._layout, self._comm, self._optimizer
        params = [*(param for _, param in self._alone.values()), *self._together.values()]
        # Not gradients and factors, of which a rank that used no layer has none.
        arrays = [*(param.array for param in params),
                  *(share.block.W.array for share, _ in self._factors)]
        if not layout.size:
            return
        xp = optimizer.target.xp
        buffer = optimizer.scratch.take('reduced', (layout.size,), wide_dtype(arrays), xp)
        self._pack(buffer)
        comm.count(layout.bytes_by_purpose(buffer.itemsize))
        comm.reduce_scatter(buffer, layout.counts, 'reduction', half=optimizer.half)
        self._unpack_own(buffer)
        self._share_together(buffer, xp)

    def _pack(self, buffer):
        layout = self._layout
        for (share, side), (factor, weight) in self._factors.items():
            layout.pack(buffer, share.owners[side], (share.index, side), factor, weight)
        for name, (owner, param) in self._alone.items():
            layout.pack(buffer, owner, name, param.grad, self._weight)
        for rank, pieces in enumerate(self._pieces):
            for name, piece in pieces:
                grad = self._together[name].grad
                layout.pack(buffer, rank, (name, piece.start),
                            None if grad is None else grad.reshape(-1)[piece], self._weight)

    def _unpack_own(self, buffer):
        layout, rank = self._layout, self._comm.rank
        for (share, side), (factor, _) in self._factors.items():
            estimate = share.block.estimate
            if not share.owns(side):
                setattr(estimate, side, None)
                continue
            key = share.index, side
            setattr(estimate, side, layout.take(buffer, rank, key) if factor is None else
                    layout.unpack(buffer, rank, key, out=factor))
        for name, (owner, param) in self._alone.items():
            if owner == rank:
                _set_grad(param, layout.unpack(buffer, rank, name))

    def _share_together(self, buffer, xp):
        if not self._together:
            return
        layout = Layout([self._piece_items(rank) for rank in range(self._comm.size)])
        shared = self._optimizer.scratch.take('shared', (layout.size,), buffer.dtype, xp)
        rank = self._comm.rank
        for name, piece in self._pieces[rank]:
            layout.view(shared, rank, (name, piece.start))[...] = self._layout.view(
                buffer, rank, (name, piece.start))
        self._comm.count(layout.bytes_by_purpose(buffer.itemsize))
        self._comm.all_gather(shared, layout.counts, 'reduction', half=self._optimizer.half)
        start = 0
        for param in self._together.values():
            _set_grad(param, shared[start:start + param.size].reshape(param.shape))
            start += param.size


def _product(share, side, local):
    """This rank's part of a dense factor, from its own rows."""
    rows = local.get('x' if side == 'A' else 'gy')
    if rows is None:
        return None
    estimate = share.block.estimate
    if side == 'G':
        return symmetric_product(rows, scale=estimate.scale_G)
    if share.block.b is not None:
        xp = chainer.backend.get_array_module(rows)
        rows = join(rows, 1, xp.empty((len(rows), rows.shape[1] + 1), rows.dtype))
    return symmetric_product(rows, scale=estimate.scale_A)


def _set_grad(param, value):
    if param.grad is None:
        param.grad = value.astype(param.dtype)
    else:
        param.grad[...] = value
