"""Damped inverses, each by the rank that owns the factor, and their way to the layer's team.

The policy on failures is `fisher.recovery`'s, in step on all ranks: both factors of a layer are
tried with the same damping in the same precision, and whether both succeeded is agreed on.
"""
import numpy as np

from chainer_kfac.communicators.packing import Item, Layout
from chainer_kfac.fisher.damping import pi, terms
from chainer_kfac.fisher.general_inverse import general_side
from chainer_kfac.fisher.recovery import MAX_RAISES, Recovery, is_finite, trace, width
from chainer_kfac.fisher.sides import DenseSide, SampleSide, side_of
from chainer_kfac.linalg import Workspace, mirror_lower
from chainer_kfac.optimizers.distributed_shares import SIDES, Share, is_window, wide_dtype

_FAILED, _HOPELESS, _DONE = 0.0, -1.0, 1.0


class _Unit:
    """One group of channels of one layer, until both of its factors are inverted."""

    def __init__(self, share, group, damping):
        self.share, self.group, self.damping = share, group, damping
        self.split = 1.0
        self.sides = {}
        self.terms = {}
        self.raised = self.tries = 0
        self.failed = False

    def factor(self, side):
        """The average, where this rank owns it."""
        if not self.share.owns(side):
            return None
        average = getattr(self.share.block.factors, side)
        return average[self.group] if getattr(average, 'ndim', 2) == 3 else average


def invert(comm, jobs: list[tuple[Share, float]], pi_type: str, use_cholesky: bool,
           packed: bool, scratch: Workspace) -> list[Recovery]:
    """Invert the damped averages of layers; every team ends with both sides of its layers.

    Collective: all ranks give the same layers, dampings and options.

    Returns:
        list of Recovery without values, the same on every rank.
    """
    if not jobs:
        return []
    units = [[_Unit(share, group, damping) for group in range(share.block.groups)]
             for share, damping in jobs]
    flat = [unit for some in units for unit in some]
    _split_damping(comm, flat, pi_type)
    _try_until_done(comm, flat, use_cholesky)
    outcomes = []
    for (share, damping), some in zip(jobs, units, strict=True):
        outcomes.append(_outcome(some))
        share.has_inverses = not outcomes[-1].skipped
        share.inverted_with = (damping, pi_type, use_cholesky) if share.has_inverses else None
        share.block.factors.sides = None
    done = [some for some, outcome in zip(units, outcomes, strict=True) if not outcome.skipped]
    _send_to_teams(comm, [unit for some in done for unit in some], use_cholesky, packed, scratch)
    for some in done:
        share = some[0].share
        if share.is_member:
            share.block.factors.sides = [(unit.sides['A'], unit.sides['G']) for unit in some]
    return outcomes


def _split_damping(comm, units, pi_type):
    """The damping's split follows from both traces, which two ranks may have."""
    traces = np.zeros((len(units), 4))
    for values, unit in zip(traces, units):
        for i, side in enumerate(SIDES):
            factor = unit.factor(side)
            if factor is not None:
                values[2 * i:2 * i + 2] = float(trace(factor)), width(factor)
    for values, unit in zip(_sum(comm, traces), units):
        unit.split = pi(*values, pi_type)


def _try_until_done(comm, units, use_cholesky):
    todo = units
    for attempt in range(2 + MAX_RAISES):
        # The factor's own precision; float64; float64 with 10, 100 and 1000 times the damping.
        statuses = np.array([_attempt(unit, attempt, use_cholesky) for unit in todo])
        statuses = comm.numbers(statuses.reshape(-1)).min(axis=0)
        for unit, status in zip(todo, statuses):
            unit.tries, unit.raised = attempt, max(0, attempt - 1)
            unit.failed = status != _DONE
        todo = [unit for unit, status in zip(todo, statuses) if status == _FAILED]
        if not todo:
            return


def _attempt(unit, attempt, use_cholesky):
    """Invert what this rank owns of a unit; the status of the worse factor."""
    status = _DONE
    damping = unit.damping * 10.0 ** max(0, attempt - 1)
    unit.terms = dict(zip(SIDES, terms(damping, unit.split), strict=True))
    for side in SIDES:
        factor = unit.factor(side)
        if factor is None:
            continue
        dtype = np.dtype(np.float64) if attempt else factor.dtype
        bias = side == 'A' and unit.share.block.factors.bias
        if use_cholesky or is_window(factor):
            found, ok = side_of(factor, unit.terms[side], bias=bias, dtype=dtype,
                                solve=unit.share.block.factors.path.solve)
        else:
            found = general_side(factor, unit.terms[side], dtype, bias)
            ok = found is not None and is_finite(found.matrix)
        unit.sides[side] = found
        if not ok:
            status = min(status, _FAILED if attempt or is_finite(factor) else _HOPELESS)
    return status


def _outcome(units):
    worst = max(units, key=lambda unit: (unit.failed, unit.raised, unit.tries))
    damping = worst.damping * 10.0 ** worst.raised
    return Recovery(None, damping, worst.tries > 0, worst.raised, worst.failed)


def _send_to_teams(comm, units, use_cholesky, packed, scratch):
    """Give the inverses of shared layers to all of the team, in one buffer."""
    units = [unit for unit in units if unit.share.is_shared]
    if not units:
        return
    team = units[0].share.team_comm
    units = [unit for unit in units if unit.share.is_member]
    parts = [[Item((unit.share.index, unit.group, side), (unit.share.size_of_side(side),) * 2,
                   packed, 'inverses')
              for unit in units for side in SIDES if unit.share.owners[side] == rank]
             for rank in team.ranks]
    layout = Layout(parts)
    arrays = [_matrix(side) for unit in units for side in unit.sides.values()]
    dtype = wide_dtype(arrays or [unit.share.block.W.array for unit in units])
    buffer = scratch.take('inverses', (layout.size,), dtype, units[0].share.block.W.xp) if (
        units) else np.empty(0, np.float32)
    for unit in units:
        for side, found in unit.sides.items():
            # Above the diagonal of a Cholesky factor nothing counts: it is made symmetric, too.
            matrix = mirror_lower(_matrix(found)) if _is_triangular(found) else _matrix(found)
            layout.pack(buffer, team.rank, (unit.share.index, unit.group, side), matrix)
    comm.count(layout.bytes_by_purpose(buffer.itemsize))
    team.comm.all_gather(buffer, layout.counts, 'inverses')
    for unit in units:
        for side in SIDES:
            if side not in unit.sides:
                place = team.ranks.index(unit.share.owners[side])
                flat = layout.take(buffer, place, (unit.share.index, unit.group, side))
                unit.sides[side] = _rebuilt(unit, side, flat, use_cholesky)


def _rebuilt(unit, side, matrix, use_cholesky):
    """The side that another rank computed, around its matrix."""
    factors = unit.share.block.factors
    bias = side == 'A' and factors.bias
    if not unit.share.keeps_rows(side):
        return DenseSide(matrix, factors.path.solve and use_cholesky, bias)
    window = getattr(factors, side)
    start = window.newest * (len(window.rows) // window.length)
    return SampleSide(window.rows, window.roots(), matrix, unit.terms[side], bias,
                      slice(start, start + window.rows_of_newest))


def _matrix(side):
    return side.matrix if isinstance(side, DenseSide) else side.kernel


def _is_triangular(side):
    return not isinstance(side, DenseSide) or side.solve


def _sum(comm, values):
    return comm.numbers(values.reshape(-1)).sum(axis=0).reshape(values.shape)
