"""Whole state on every rank, whoever owns it: before a snapshot and after one was loaded."""
import copy

import chainer

from chainer_kfac.fisher.sides import SampleSide
from chainer_kfac.fisher.state import average_to, side_to
from chainer_kfac.linalg import pack_triangle, unpack_triangle
from chainer_kfac.optimizers.distributed_shares import SIDES, Share, is_window


def gather(comm, share: Share, *, with_inverses: bool) -> None:
    """Give every rank the averages, and the inverses if asked for, of one layer. Collective."""
    from chainermn.communicators._communication_utility import chunked_bcast_obj
    factors = share.block.factors
    for side in SIDES:
        root = share.owners[side]
        content = _averages(getattr(factors, side)) if comm.rank == root else None
        content = chunked_bcast_obj(content, comm.mpi_comm, root=root)
        if not share.holds(side):
            setattr(factors, side, average_to(share.block.W.device, _average(content)))
    if not (with_inverses and share.has_inverses):
        return
    root = share.team[0]
    content = None
    if comm.rank == root:
        content = [[_on_host(side, factors) for side in zip(pair, SIDES)]
                   for pair in factors.sides]
    content = chunked_bcast_obj(content, comm.mpi_comm, root=root)
    if not share.is_member:
        factors.sides = [tuple(_at_home(share.block, side, name)
                               for side, name in zip(pair, SIDES)) for pair in content]


def _averages(average):
    """A running average as plain objects on the host."""
    on_host = chainer.get_device('@numpy')
    if is_window(average):
        return average_to(on_host, copy.copy(average))
    stack = average if average.ndim == 3 else average[None]
    return average.ndim, [on_host.send(pack_triangle(matrix)) for matrix in stack]


def _average(content):
    if is_window(content):
        return content
    dimensions, triangles = content
    stack = [unpack_triangle(flat) for flat in triangles]
    if dimensions == 2:
        return stack[0]
    return chainer.backend.get_array_module(stack[0]).stack(stack)


def _on_host(side_and_name, factors):
    """A side on the host; the rows of a window, which its average has, are left out."""
    side, name = side_and_name
    moved = copy.copy(side)
    average = getattr(factors, name)
    if isinstance(side, SampleSide) and is_window(average):
        moved.rows = None
        moved.root, moved.kernel = chainer.get_device('@numpy').send((side.root, side.kernel))
    else:
        side_to(chainer.get_device('@numpy'), moved, None)
    return moved


def _at_home(block, side, name):
    average = getattr(block.factors, name)
    if isinstance(side, SampleSide) and side.rows is None:
        side.rows = average.rows
    side_to(block.W.device, side, average)
    return side
