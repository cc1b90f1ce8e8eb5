"""The batch's rows on their way to the ranks that need all of them.

Every rank has the input and output-gradient rows of its own examples. Those of a factor that is
kept as rows go to the whole team of its layer, those of a dense factor to its owner where that is
cheaper than sending factors, and those that an owner preconditions alone go to it.
"""
import chainer

from chainer_kfac.communicators.packing import Item, Layout
from chainer_kfac.fisher.estimate import Estimate
from chainer_kfac.optimizers.distributed_shares import SIDES, Share, rows_are_cheaper, wide_dtype

KINDS = ('x', 'gy', 'sampled')


def scaled_rows(estimate: Estimate, weight: float) -> dict:
    """This rank's rows by kind, such that the rows of all ranks together make up one batch.

    Args:
        weight (float): the share of this rank's terms in the loss of all ranks.
    """
    if not estimate.has_rows:
        return {}
    rows = {'x': estimate.inputs, 'gy': _times(estimate.gradients, weight)}
    if estimate.is_sampled:
        rows['sampled'] = _times(estimate.rows_G[0], weight)
    return rows


def destinations(share: Share, kind: str, counts: list[int], is_due: bool,
                 is_sampled: bool) -> tuple[int, ...]:
    """The ranks that need all ranks' rows of this kind.

    Args:
        counts (list of int): rows of each rank.
        is_due (bool): whether factors are made from them in this step.
        is_sampled (bool): whether G is made from 'sampled' rows and not from 'gy'.
    """
    needed = set()
    side = 'A' if kind == 'x' else 'G'
    makes_factor = is_due and (kind == 'x' or (kind == 'sampled') == is_sampled)
    if makes_factor and share.keeps_rows(side):
        needed.update(share.team)
    elif makes_factor and share.sends_rows[side]:
        needed.add(share.owners[side])
    if share.mode == 'rows' and kind != 'sampled' and len(share.team) < len(counts):
        needed.update(share.team)
    return tuple(sorted(needed))


def choose_for_dense(share: Share, rows: int, size: int) -> None:
    """Decide for both factors whether a dense one is made of rows that its owner is sent."""
    share.sends_rows = {side: rows_are_cheaper(rows, share.shape_of(side)[-1], size)
                        for side in SIDES}


def gather(comm, wanted: list, scratch, half: bool, like: list) -> dict:
    """Send rows to where they are needed.

    Args:
        comm (KroneckerCommunicator): all of its ranks call.
        wanted (list of (key, local rows or None, width, counts, destinations)).
        scratch (Workspace): for the buffers.
        half (bool): float16 on the wire.
        like (list of arrays): of the dtype and place of rows, of which a rank may have none.
    Returns:
        dict: by key, the rows of all ranks in rank order, where this rank needs them.
    """
    if not wanted:
        return {}
    everybody = tuple(range(comm.size))
    outgoing = [[Item(key, (counts[comm.rank], width), purpose='rows')
                 for key, _, width, counts, to in wanted if rank in to and rank != comm.rank]
                for rank in everybody]
    incoming = [[Item(key, (counts[rank], width), purpose='rows')
                 for key, _, width, counts, to in wanted if comm.rank in to and rank != comm.rank]
                for rank in everybody]
    send, receive = Layout(outgoing), Layout(incoming)
    dtype = wide_dtype(like)
    xp = chainer.backend.get_array_module(*like)
    given = scratch.take('rows sent', (send.size,), dtype, xp)
    taken = scratch.take('rows received', (receive.size,), dtype, xp)
    for key, rows, _, _, to in wanted:
        for rank in to:
            if rank != comm.rank:
                send.pack(given, rank, key, rows)
    comm.count(send.bytes_by_purpose(given.itemsize))
    comm.exchange(given, send.counts, taken, receive.counts, 'rows', half=half)
    found = {}
    for key, rows, width, counts, to in wanted:
        if comm.rank in to:
            whole = xp.empty((sum(counts), width), dtype if rows is None else rows.dtype)
            start = 0
            for rank, count in enumerate(counts):
                if count:
                    whole[start:start + count] = rows if rank == comm.rank else receive.unpack(
                        taken, rank, key)
                start += count
            found[key] = whole
    return found


def _times(rows, weight):
    return rows if weight == 1.0 else rows * rows.dtype.type(weight)
