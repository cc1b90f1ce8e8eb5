"""Preconditioned gradients: each rank computes some, and all get all.

A layer with a team of one is that rank's. In a larger team each member computes some rows of

    out = G_d^-1 D A_d^-1,    out[i] = (G_d^-1)[i] D A_d^-1    for a set of outputs i,

with D the gradient of all ranks' batch, or the product L^T R of preconditioned rows, of which
each member first computes its part: L = gy G_d^-1 and R = [x, 1] A_d^-1.
"""
import chainer

from chainer_kfac.communicators.packing import Item, Layout, length_of, split_evenly, starts_of
from chainer_kfac.fisher.factors import at_least_float32
from chainer_kfac.fisher.sides import SampleSide, times_rows
from chainer_kfac.linalg import cholesky_solve
from chainer_kfac.optimizers import coverage
from chainer_kfac.optimizers.distributed_shares import Share, wide_dtype
from chainer_kfac.optimizers.update_rule import unscaled_gradient

LARGE = 1 << 18
"""Numbers of a direction from which it is gathered in its own memory, without packing."""


def compute(optimizer, shares: list[Share]) -> dict:
    """This rank's part of every direction; the rest of the arrays holds no meaning.

    Collective among the members of teams.

    Returns:
        dict: by share, the list of arrays like the block's parameters, on every rank.
    """
    found = {}
    rows = _gathered_rows(optimizer, [
        share for share in shares if share.is_shared and share.is_member and share.mode == 'rows'])
    for share in shares:
        if not share.is_member:
            found[share] = share.block.directions(
                [at_least_float32(param.array) for param in share.block.params])
        elif not share.is_shared:
            found[share] = optimizer.directions_of(share.block)
        elif share.mode == 'rows':
            found[share] = _from_rows(optimizer, share, *rows[share])
        else:
            found[share] = _from_gradient(optimizer, share)
    return found


def gather(optimizer, directions: dict) -> None:
    """Complete every direction on every rank, in place. Collective."""
    comm, half = optimizer.comm, optimizer.half
    parts = [[] for _ in range(comm.size)]
    for share, arrays in directions.items():
        for i, array in enumerate(arrays):
            width = array.size // len(array)
            counts = [length_of(share.outputs_of(rank)) * width
                      for rank in range(comm.size)]
            if array.size >= LARGE and share.is_shared:
                comm.traffic.count('directions', array)
                comm.all_gather(array.reshape(-1), counts, 'directions', half=half)
                continue
            for rank, count in enumerate(counts):
                if count:
                    parts[rank].append(Item((share.index, i), (count,), purpose='directions'))
    _gather_small(optimizer, directions, Layout(parts))


def _gather_small(optimizer, directions, layout):
    if not layout.size:
        return
    comm = optimizer.comm
    arrays = [array for some in directions.values() for array in some]
    buffer = optimizer.scratch.take(
        'directions', (layout.size,), wide_dtype(arrays), optimizer.target.xp)
    places = {(share.index, i): (share, array) for share, some in directions.items()
              for i, array in enumerate(some)}
    for item in layout.parts[comm.rank]:
        share, array = places[item.key]
        layout.pack(buffer, comm.rank, item.key, array[share.outputs_of(comm.rank)].reshape(-1))
    comm.count(layout.bytes_by_purpose(buffer.itemsize))
    comm.all_gather(buffer, layout.counts, 'directions', half=optimizer.half)
    for rank, part in enumerate(layout.parts):
        for item in part:
            share, array = places[item.key]
            piece = array[share.outputs_of(rank)]
            piece[...] = layout.view(buffer, rank, item.key).reshape(piece.shape)


def product_with_gradient(share: Share, directions) -> float:
    """This rank's part of sum(gradient * direction) of a layer."""
    mine = share.outputs_of(share.rank)
    return sum(float((unscaled_gradient(param)[mine] * direction[mine]).sum())
               for param, direction in zip(share.block.params, directions, strict=True))


def _from_gradient(optimizer, share):
    block = share.block
    grads = [unscaled_gradient(param) for param in block.params]
    out = block.directions(grads)
    mine = share.outputs_of(share.rank)
    for array, part in zip(out, _precondition_outputs(share, grads, mine)):
        array[mine] = part
    return out


def _precondition_outputs(share, arrays, mine):
    """Rows ``mine`` of G_d^-1 [W, b] A_d^-1, apart, in scratch memory."""
    A, G = share.block.factors.sides[0]
    weight = arrays[0].reshape(len(arrays[0]), -1)
    left = _left(share, G, weight, mine)
    column = None
    if len(arrays) > 1:
        column = _left(share, G, arrays[1][:, None], mine)[:, 0]
    right = A.right(left, column, out=share.block.workspace.take(
        'outputs right', (len(left), A.dim), left.dtype, A.xp))
    d = A.dim - A.bias
    parts = [right[:, :d].reshape(arrays[0][mine].shape)]
    return parts if column is None else [*parts, right[:, d]]


def _left(share, side, matrix, mine):
    """Rows ``mine`` of F_d^-1 matrix, for a side without bias. Collective in the team."""
    if isinstance(side, SampleSide):
        return _left_in_sample_space(share, side, matrix, mine)
    if side.solve:
        return _left_by_columns(share, side, matrix)
    return chainer.backend.get_array_module(matrix).matmul(side.matrix[mine], matrix)


def _left_by_columns(share, side, matrix):
    """Each member solves for some columns, and gets its rows of the others'."""
    team = share.team_comm
    columns = split_evenly(matrix.shape[1], len(team.ranks))
    rows = [share.outputs_of(rank) for rank in team.ranks]
    solved = side.left(matrix[:, columns[team.rank]])
    xp = chainer.backend.get_array_module(matrix)
    height, width = length_of(rows[team.rank]), length_of(columns[team.rank])
    received = xp.empty(height * matrix.shape[1], solved.dtype)
    counts = [height * length_of(piece) for piece in columns]
    team.comm.traffic.count('products', solved)
    team.comm.exchange(solved.reshape(-1), [length_of(piece) * width for piece in rows], received,
                       counts, 'products')
    result = xp.empty((height, matrix.shape[1]), solved.dtype)
    for piece, count, start in zip(columns, counts, starts_of(counts), strict=True):
        result[:, piece] = received[start:start + count].reshape(height, -1)
    return result


def _left_in_sample_space(share, side, matrix, mine):
    """(matrix - R^T sqrt(s) K^-1 sqrt(s) R matrix) / term, the rows ``mine``.

    Each member multiplies its own rows of the matrix; the sums go, by columns, to the member that
    solves with K for them, and from there to all.
    """
    xp = chainer.backend.get_array_module(matrix)
    team, workspace = share.team_comm, share.block.workspace
    columns = split_evenly(matrix.shape[1], len(team.ranks))
    held = len(side.rows)
    counts = [held * length_of(piece) for piece in columns]
    products = workspace.take('outputs products', (held * matrix.shape[1],), matrix.dtype, xp)
    parts = [products[start:start + count].reshape(held, -1)
             for start, count in zip(starts_of(counts), counts, strict=True)]
    own = side.rows[:, mine]
    for piece, part in zip(columns, parts, strict=True):
        xp.matmul(own, matrix[mine][:, piece], out=part)
    team.comm.traffic.count('products', 2 * products.nbytes)
    team.comm.reduce_scatter(products, counts, 'products')
    root = side.root if getattr(side.root, 'ndim', 0) == 0 else side.root[:, None]
    part = parts[team.rank]
    part *= root
    part[...] = cholesky_solve(side.kernel, part, overwrite=True)
    part *= root
    team.comm.all_gather(products, counts, 'products')
    key = 'outputs left', matrix.shape[1] > 1       # of a weight, or of a bias
    result = workspace.take(key, (own.shape[1], matrix.shape[1]), matrix.dtype, xp)
    for piece, part in zip(columns, parts, strict=True):
        xp.matmul(own.T, part, out=result[:, piece])
    result -= matrix[mine]
    result /= -side.term
    return result


def _from_rows(optimizer, share, left, right):
    """L^T R, and coupled weight decay, from the preconditioned rows of all ranks."""
    block = share.block
    arrays = [at_least_float32(param.array) for param in block.params]
    out = block.directions(arrays)
    mine = share.outputs_of(share.rank)
    xp = chainer.backend.get_array_module(left)
    weight, bias = (*out, None)[:2]
    d = right.shape[1] - (bias is not None)
    part = weight.reshape(len(weight), -1)[mine]
    xp.matmul(left[:, mine].T, right[:, :d], out=part)
    if bias is not None:
        xp.matmul(left[:, mine].T, right[:, d], out=bias[mine])
    decay = coverage.only_decay(optimizer, block.params)
    if decay:
        for array, extra in zip(out, _precondition_outputs(share, arrays, mine)):
            extra *= decay
            array[mine] += extra
    return out


def _gathered_rows(optimizer, shares):
    """(L, R) of shared layers: each member of the team preconditions some of the batch's rows."""
    if not shares:
        return {}
    team = shares[0].team_comm
    parts = [[] for _ in team.ranks]
    mine = {}
    for share in shares:
        A, G = share.block.factors.sides[0]
        pieces = _pieces_of_batch(share, team)
        for place, piece in enumerate(pieces):
            count = length_of(piece)
            parts[place] += [Item((share.index, 'L'), (count, G.dim), purpose='rows'),
                             Item((share.index, 'R'), (count, A.dim), purpose='rows')]
        mine[share] = _part_of_rows(share, pieces[team.rank], team)
    layout = Layout(parts)
    arrays = [array for pair in mine.values() for array in pair]
    buffer = optimizer.scratch.take(
        'preconditioned rows', (layout.size,), wide_dtype(arrays), optimizer.target.xp)
    for share, pair in mine.items():
        for name, array in zip('LR', pair):
            layout.pack(buffer, team.rank, (share.index, name), array)
    optimizer.comm.count(layout.bytes_by_purpose(buffer.itemsize))
    team.comm.all_gather(buffer, layout.counts, 'rows', half=optimizer.half)
    xp = optimizer.target.xp
    return {share: tuple(
        xp.concatenate([layout.unpack(buffer, place, (share.index, name))
                        for place in range(len(parts))]) for name in 'LR') for share in shares}


def _pieces_of_batch(share, team):
    """Which rows of the whole batch each member preconditions."""
    if len(team.ranks) < len(share.counts):
        return split_evenly(sum(share.counts), len(team.ranks))
    edges = [sum(share.counts[:rank]) for rank in range(len(share.counts) + 1)]
    return [slice(start, stop) for start, stop in zip(edges, edges[1:])]


def _part_of_rows(share, piece, team):
    A, G = share.block.factors.sides[0]
    estimate, fresh = share.block.estimate, share.block.fresh
    # Sides of an average that has left its rows may still be of older rows.
    own_A = fresh and share.keeps_rows('A')
    own_G = fresh and share.keeps_rows('G') and not estimate.is_sampled
    left = _latest(G, piece) if own_G else _right(G, _rows(share, 'gy', piece, team, G.dim))
    right = _latest(A, piece) if own_A else _right(
        A, _rows(share, 'x', piece, team, A.dim - A.bias))
    return left, right


def _rows(share, kind, piece, team, width):
    if len(team.ranks) < len(share.counts):
        estimate = share.block.estimate
        return (estimate.inputs if kind == 'x' else estimate.gradients)[piece]
    rows = share.local.get(kind)
    if rows is None:
        array = at_least_float32(share.block.W.array)
        rows = chainer.backend.get_array_module(array).empty((0, width), array.dtype)
    return rows


def _right(side, rows):
    xp = chainer.backend.get_array_module(rows)
    if not len(rows):
        return xp.empty((0, side.dim), rows.dtype)
    return side.right(rows, xp.ones(len(rows), rows.dtype) if side.bias else None)


def _latest(side, piece):
    """These of the newest batch's rows times F_d^-1: a part of `SampleSide.latest_right`."""
    xp = side.xp
    count = length_of(piece)
    unit = xp.zeros((len(side.rows), count), side.rows.dtype)
    start = side.latest.start + piece.start
    unit[start:start + count] = xp.eye(count, dtype=unit.dtype)
    weights = cholesky_solve(side.kernel, unit, overwrite=True).T
    if getattr(side.root, 'ndim', 0):
        weights = weights * (side.root / side.root[start:start + count][:, None])
    return times_rows(weights, side.rows, side.bias)
