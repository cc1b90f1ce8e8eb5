"""Running averages of a step, on the ranks that keep them."""
import chainer

from chainer_kfac.communicators.packing import length_of, split_evenly
from chainer_kfac.fisher.moving import move_matrix, move_window
from chainer_kfac.optimizers.distributed_shares import Share, Team


def move(share: Share, side: str, weight: float) -> None:
    """Take the step's estimate of one factor into its running average.

    Collective in the team of a shared layer if the average is a window of rows: each member
    multiplies some of the new rows with those that are held.
    """
    block = share.block
    factors, estimate = block.factors, block.estimate
    rows, scale = estimate.rows_A if side == 'A' else estimate.rows_G
    bias = side == 'A' and factors.bias
    average = getattr(factors, side)
    if share.keeps_rows(side):
        multiply = _divided(share.team_comm) if share.is_shared else None
        average = move_window(average, rows, scale, weight, length=factors.path.window, bias=bias,
                              multiply=multiply)
    else:
        average = move_matrix(average, getattr(estimate, side), rows, scale, weight, bias=bias,
                              workspace=block.workspace)
    setattr(factors, side, average)


def _divided(team: Team):
    def multiply(block, rows):
        xp = chainer.backend.get_array_module(rows)
        products = xp.empty((len(block), len(rows)), rows.dtype)
        pieces = split_evenly(len(block), len(team.ranks))
        mine = pieces[team.rank]
        xp.matmul(block[mine], rows.T, out=products[mine])
        team.comm.traffic.count('products', products)
        team.comm.all_gather(products.reshape(-1), [
            length_of(piece) * len(rows) for piece in pieces], 'products')
        return products
    return multiply
