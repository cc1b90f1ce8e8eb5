"""One evaluation of an objective, and what came of it."""
import contextlib
import dataclasses
import logging
import math
import numbers
import traceback
from collections.abc import Mapping
from typing import Any

from chainer_kfac.exceptions import ConfigError, DivergedError, KFACError
from chainer_kfac.search import objectives
from chainer_kfac.search.lease import failure
from chainer_kfac.search.progress import Progress, Pruned, finite, losses
from chainer_kfac.search.stopping import Stopping

logger = logging.getLogger(__name__)

OK, FAILED, CRASHED, STOPPED, BROKEN = 'ok', 'failed', 'crashed', 'stopped', 'broken'
"""What an evaluation may come to: a loss; a failure that the values are to blame for; an exception
that may be this worker's fault; an end in good order; a worker that cannot evaluate anything."""

_WORST_FIRST = (BROKEN, CRASHED, STOPPED, FAILED, OK)


@dataclasses.dataclass(frozen=True)
class Task:
    """What the ranks evaluate together: plain data that has been checked."""

    objective: str
    values: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        kind (str): one of the constants above.
        result (dict): for OK, FAILED and CRASHED, the trial's result.
        error (Exception or None): for BROKEN, what the worker ends with.
    """

    kind: str
    result: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: Exception | None = None


def evaluate(task: Task, progress: Progress, ranks, stopping: Stopping) -> Outcome:
    """Evaluate a task; collective among the ranks, which all return the same kind."""
    mine = _evaluate(task, progress, stopping)
    worst = min(ranks.gather((_WORST_FIRST.index(mine.kind), str(mine.error or ''))))
    if _WORST_FIRST[worst[0]] == mine.kind:
        return mine
    return Outcome(_WORST_FIRST[worst[0]], failure('error', 'another rank: ' + worst[1]),
                   KFACError(worst[1] or 'another rank failed'))


def _evaluate(task, progress, stopping):
    try:
        with stopping.interruptible() if stopping.alone else contextlib.nullcontext():
            result = objectives.find(task.objective).evaluate(task.values, task.settings, progress)
    except Pruned as pruned:
        result = {'loss': min(losses(progress.curve), default=None), 'pruned': pruned.rule}
    except DivergedError as error:
        return Outcome(FAILED, failure('diverged', str(error)))
    except ConfigError as error:
        return Outcome(FAILED, failure('refused', str(error)))
    except KeyboardInterrupt as interrupt:
        stopping.note(interrupt)
        return Outcome(STOPPED)
    except (KFACError, OSError) as error:  # no data, no disk, no package: the next trial fails too
        return Outcome(BROKEN, failure('error', str(error)), error)
    except Exception as error:  # whatever it is, the trial must end and the worker must go on
        logger.error('%s', traceback.format_exc())
        return Outcome(CRASHED, failure('error', '{}: {}'.format(type(error).__name__, error)))
    return _with_loss(result, len(progress.curve))


def _with_loss(result, epochs):
    """An outcome with a loss, if it is one: a NaN that counts as a loss blinds TPE."""
    if not has_loss(result):
        return Outcome(FAILED, failure('diverged', 'its loss is {!r:.60}'.format(
            result.get('loss'))))
    plain = {key: finite(value) for key, value in result.items()}
    return Outcome(OK, {'epochs': epochs, 'pruned': None, **plain, 'status': 'ok',
                        'loss': float(result['loss'])})


def has_loss(result: Mapping[str, Any]) -> bool:
    """Whether a result holds a number that TPE can work with."""
    loss = result.get('loss')
    return (isinstance(loss, numbers.Real) and not isinstance(loss, bool)
            and math.isfinite(loss))
