"""How each layer's work is done: chosen once, when the first forward pass has shown its size.

The cost model of `fisher.cost` chooses; where another path is nearly as cheap on paper, one timing
of both on the layer's own rows confirms the choice, or two overrule it. Every path yields the same
numbers up to rounding and the stated truncation of a window. The choice is part of the snapshot.
"""
import logging
import time
from collections.abc import Mapping

import chainer
import numpy as np

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import FisherBlock, cost
from chainer_kfac.fisher.ema import weight_of_new
from chainer_kfac.fisher.estimate import Batch, Estimate
from chainer_kfac.fisher.factors import at_least_float32
from chainer_kfac.fisher.kronecker import KroneckerFactors
from chainer_kfac.fisher.path import Path
from chainer_kfac.optimizers import coverage
from chainer_kfac.optimizers.update_rule import rule_of

logger = logging.getLogger(__name__)

TOLERANCE = 1e-7
"""Weight that a window of rows may leave out of a running average; float32 rounds by as much."""

NEAR = 1.5
"""Paths within this factor of the cheapest are timed, and must be faster by it to be preferred."""

SMALL = 2e8
"""Operations an update below which a layer takes the plain way: a millisecond or so."""

WORDS = {
    'inverse': Path(),
    'solve': Path(solve=True),
    'thin': Path(thin=True),
    'rows': Path(rows_A=True, rows_G=True, thin=True),
}


def plan(optimizer, blocks: list[FisherBlock],
         rows: Mapping[FisherBlock, int] | None = None) -> None:
    """Choose the path of every block that was recorded for the first time.

    Args:
        rows: of each block in a pass over all processes; by default those that were recorded.
    Raises:
        ConfigError: if a path is forced that the layer or the hyperparameters do not allow.
    """
    _check_names(optimizer)
    for block in blocks:
        if block.planned or not block.uses or not optimizer.factors_due:
            continue            # its rows are not there before factors are due
        schedule = _schedule(optimizer, block)
        layer = block.layer if rows is None else block.layer._replace(rows=rows[block])
        layer = layer._replace(rows=layer.rows * optimizer.acc_iters)
        path = _forced(optimizer, block, schedule)
        reason = 'as told'
        if path is None:
            path, reason = _choose(optimizer, block, layer, schedule)
        block.factors.path = path
        block.planned = True
        logger.info('%s: %s (%s, %.3g GFLOP an update)', block.name, describe(path), reason,
                    cost.work(path, layer, schedule).flops / 1e9)


def plan_together(comm, optimizer, blocks: list[FisherBlock]) -> None:
    """`plan` for the rows of all ranks, each block by the first rank that uses it. Collective."""
    if all(block.planned for block in blocks):
        return
    rows = comm.numbers([block.layer.rows if block.uses else 0 for block in blocks])
    first = (rows > 0).argmax(axis=0)
    plan(optimizer, [block for block, rank in zip(blocks, first, strict=True)
                     if rank == comm.rank],
         {block: int(count) for block, count in zip(blocks, rows.sum(axis=0), strict=True)})
    chosen = comm.mpi_comm.allgather(
        [(block.planned, block.factors.path, block.groups) for block in blocks])
    for i, block in enumerate(blocks):
        block.planned, block.factors.path, block.groups = chosen[first[i]][i]


def keep_within_tolerance(optimizer, block: FisherBlock) -> None:
    """Leave the rows where changed hyperparameters make them wrong.

    A window must hold all but `TOLERANCE` of the average's weight, is inverted whenever it
    changes, and needs damping.
    """
    path = block.factors.path
    if not (path.rows_A or path.rows_G):
        return
    weight = weight_of_new(optimizer.cov_ema_decay, optimizer.ema_weighs)
    if _rows_are_exact(optimizer, weight, path.window) and optimizer.inverses_due:
        return
    block.factors.leave_rows()
    logger.info('%s: keeps its averages as matrices from iteration %d on', block.name, optimizer.t)


def needs_no_gradient(optimizer, block: FisherBlock) -> bool:
    """Whether nothing but the rows and the weights of a block is needed for its step."""
    return block.planned and block.factors.path.thin and _may_lack_gradient(optimizer, block)


def _may_lack_gradient(optimizer, block):
    return (block.b is not None and block.W.dtype != np.float16 and rule_of(block.W) is not None
            and optimizer.acc_iters == 1 and optimizer.kl_clip is None
            and coverage.only_decay(optimizer, block.params) is not None)


def describe(path: Path) -> str:
    """A path in words."""
    rows = [name for name, kept in (('A', path.rows_A), ('G', path.rows_G)) if kept]
    words = []
    if rows:
        words.append('{} as rows of {} batch{}'.format(
            ' and '.join(rows), path.window, '' if path.window == 1 else 'es'))
    if len(rows) < 2:
        words.append('Cholesky solves' if path.solve else 'inverses')
    if path.thin:
        words.append('rows preconditioned before their product')
    return ', '.join(words)


def _check_names(optimizer):
    if isinstance(optimizer.paths, Mapping):
        names = [block.name for block in optimizer.blocks]
        unknown = ', '.join(sorted(set(optimizer.paths) - set(names)))
        if unknown:
            raise ConfigError('paths names {}, which is not a covered layer: they are {}'.format(
                unknown, ', '.join(names)))


def _rows_are_exact(optimizer, weight, window):
    return optimizer.use_cholesky and optimizer.damping > 0 and weight > 0 and (
        1.0 - weight) ** window <= TOLERANCE


def _schedule(optimizer, block):
    return cost.Schedule(
        optimizer.interval('factor_update_interval'), optimizer.interval('inverse_update_interval'),
        weight_of_new(optimizer.cov_ema_decay, optimizer.ema_weighs),
        decay=coverage.only_decay(optimizer, block.params) != 0.0,
        gradient_is_formed=not (block.keeps_rows and _may_lack_gradient(optimizer, block)))


def _is_open(optimizer, block, path, schedule):
    """Whether a path is correct for this layer under these hyperparameters."""
    if path.keeps_rows and not block.keeps_rows:
        return False
    if not optimizer.use_cholesky and path.solve:
        return False
    return not (path.rows_A or path.rows_G) or (
        schedule.factor_interval == schedule.inverse_interval
        and _rows_are_exact(optimizer, schedule.weight_of_new, path.window))


def _forced(optimizer, block, schedule):
    """The path that the user chose for a block, or None."""
    told = optimizer.paths
    if isinstance(told, Mapping):
        told = told.get(block.name)
    if told is None:
        return None
    path = told if isinstance(told, Path) else WORDS.get(told)
    if path is None:
        raise ConfigError('the path {!r} of {} is not known: choose one of {} or a Path'.format(
            told, block.name, ', '.join(WORDS)))
    if told == 'rows':
        window = cost.window_length(schedule.weight_of_new, TOLERANCE)
        path = path._replace(window=window or 1)
    if _is_open(optimizer, block, path, schedule):
        return path
    if isinstance(optimizer.paths, Mapping):
        raise ConfigError(
            'the path {!r} of {} does not fit its layer type, intervals, averages or damping: '
            "choose 'inverse'".format(told, block.name))
    return Path()       # one word for all: layers that cannot follow it take the plain way


def _choose(optimizer, block, layer, schedule):
    """(path, why): the model's choice, unless a timing says clearly otherwise."""
    costs = {path: work.weighted for path, work in cost.path_costs(
        layer, schedule, rows_usable=block.keeps_rows, tolerance=TOLERANCE).items()
        if _is_open(optimizer, block, path, schedule)
        and not (path.thin and coverage.only_decay(optimizer, block.params) is None)}
    if costs[Path()] < SMALL:
        return Path(), 'small'
    first, *others = sorted(costs, key=costs.get)
    near = [path for path in others if costs[path] < NEAR * costs[first]]
    if not near or not block.keeps_rows:
        return first, 'by the cost model'
    second = near[0]
    seconds = {path: measure(block, path, schedule) for path in (first, second)}
    if _is_overruled(seconds, first, second):       # or something else was using the machine
        seconds = {path: min(before, measure(block, path, schedule))
                   for path, before in seconds.items()}
    best, other = (second, first) if _is_overruled(seconds, first, second) else (first, second)
    return best, '{:.2g} s measured, {:.2g} s for {}'.format(
        seconds[best], seconds[other], describe(other))


def _is_overruled(seconds, first, second):
    return seconds[second] * NEAR < seconds[first]


def measure(block: FisherBlock, path: Path, schedule: cost.Schedule) -> float:
    """Seconds of an average update of a block along ``path``, timed once on its recorded rows."""
    factors = KroneckerFactors(block.b is not None, block.workspace)
    factors.path = path
    estimate = Estimate()
    examples = block.uses[0].examples
    estimate.add(block.uses, Batch(examples, float(examples)))
    weight, bias = block.grouped([at_least_float32(param.array) for param in block.params])
    out = tuple(None if array is None else array.copy() for array in (weight, bias))

    def apply():
        if path.thin:
            W, b, out_W, out_b = (
                None if array is None else array[0] for array in (weight, bias, *out))
            factors.precondition_rows(
                estimate, True, (out_W, out_b), decay=1e-4 * schedule.decay, W=W, b=b)
        else:
            if not schedule.gradient_is_formed:
                estimate.gradients.T @ estimate.inputs      # what backpropagation has to do for it
            factors.precondition(weight, bias, out)

    # The damping has no influence on the time, but 1 always succeeds.
    seconds = [_seconds(work, on_gpu=not isinstance(weight, np.ndarray)) for work in (
        lambda: factors.update(estimate, 1.0), lambda: factors.invert(1.0, 'none', True), apply)]
    return (seconds[0] / schedule.factor_interval + seconds[1] / schedule.inverse_interval
            + seconds[2])


def _seconds(work, on_gpu):
    if on_gpu:
        chainer.backends.cuda.Stream.null.synchronize()
    start = time.perf_counter()
    work()
    if on_gpu:
        chainer.backends.cuda.Stream.null.synchronize()
    return time.perf_counter() - start
