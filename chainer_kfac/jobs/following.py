"""After submitting: what waits or runs already, how far it is, and how to cancel it."""
import dataclasses
import json
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.jobs import record, schedulers
from chainer_kfac.jobs.record import Part, Submission
from chainer_kfac.jobs.schedulers import UNKNOWN, State
from chainer_kfac.jobs.submission import Order
from chainer_kfac.sweeps import failure
from chainer_kfac.training.run_directory import DIVERGED, RESULT

logger = logging.getLogger(__name__)

_OF_A_SEARCH = ('kfac-driver', 'kfac-worker')


def left(orders: Sequence[Order], root: str | os.PathLike) -> list[Order]:
    """What is neither finished nor submitted already; for each other part a line says why."""
    busy = {_claim(part.name, run): part.job_id
            for submission, states in _all_states(root)
            for part, state in states.items() if state.active for run in part.runs}
    remaining = []
    for order in orders:
        kept = []
        for words, runs in zip(order.job.tasks, order.runs, strict=True):
            reason = _reason(order.job.name, runs, busy)
            if reason is None:
                kept.append((words, runs))
            else:
                logger.info('Not submitted: %s: %s', ' '.join([order.job.name, *words]), reason)
        if kept:
            tasks, runs = zip(*kept, strict=True)
            remaining.append(Order(dataclasses.replace(order.job, tasks=tasks), runs))
    return remaining


def _reason(name, runs, busy):
    """Why a part needs no job, or None."""
    unfinished = [run for run in runs if not _finished(run)]
    if runs and not unfinished:
        return 'finished'
    claims = [_claim(name, run) for run in unfinished]
    numbers = {busy[claim] for claim in claims if claim in busy}
    return 'already submitted as ' + ', '.join(sorted(numbers)) if numbers else None


def _claim(name, run):
    """What two jobs must not work on at the same time: a run, or one's part in a search."""
    return (name if name in _OF_A_SEARCH else None, os.path.realpath(run))


def status(root: str | os.PathLike) -> list[str]:
    """Lines on everything that was submitted with that root."""
    lines = []
    for submission, states in _all_states(root):
        lines.append('{} {}: {}'.format(submission.submitted, submission.scheduler,
                                        submission.folder))
        lines += ['  {}  {}: {}'.format(submission.ids(part)[-1], part.whole_name,
                                        _describe(part, state, submission.folder))
                  for part, state in states.items()]
    return lines or ['nothing was submitted with the runs in {}'.format(root)]


def _describe(part, state, folder):
    """How far a part is; of one that has ended without having finished, why."""
    if part.name in _OF_A_SEARCH:
        return state.word
    unfinished = [run for run in part.runs if not _finished(run)]
    if not unfinished:
        return 'finished'
    said = '{}, {} of {} runs finished'.format(
        state.word, len(part.runs) - len(unfinished), len(part.runs))
    if state.active:
        return said
    reasons = filter(None, map(_failure, unfinished))
    return '{}: {}'.format(said, next(reasons, 'see the logs in {}'.format(folder)))


def _failure(run):
    """Why the last attempt at a run failed, or None."""
    for name in (DIVERGED, failure.NAME):
        try:
            return json.loads(pathlib.Path(run, name).read_text(encoding='utf-8'))['reason']
        except FileNotFoundError:
            continue
    return None


def cancel(root: str | os.PathLike, names: Sequence[str]) -> None:
    """Cancel what was submitted.

    Args:
        root (path): root of all runs.
        names (sequence of str): numbers of jobs or of their parts, or ``'all'``.
    Raises:
        ConfigError: if a number is not one of what was submitted from here.
        SubmitError: if the scheduler refuses.
    """
    submissions = list(record.read(root))
    wanted = {}
    for name in names:
        found = [(submission.scheduler, numbers) for submission in submissions
                 for numbers in _numbers(submission, name)]
        if not found and name != 'all':
            raise ConfigError('--cancel {}: nothing with that number was submitted with the runs '
                              'in {}; --status shows the numbers'.format(name, root))
        for scheduler, numbers in found:
            wanted.setdefault(scheduler, []).extend(numbers)
    for scheduler, numbers in wanted.items():
        schedulers.of_dialect(scheduler).cancel(list(dict.fromkeys(numbers)))


def _numbers(submission, name):
    """Lists of the numbers that a name means in a submission."""
    if name == 'all':
        return [submission.job_ids()]
    if name in submission.jobs.values():
        jobs = [job for job, number in submission.jobs.items() if number == name]
        return [[name]] + [submission.ids(part)[1:] for part in submission.parts
                           if part.name in jobs]
    return [submission.ids(part) for part in submission.parts if name in submission.ids(part)]


def _all_states(root) -> list[tuple[Submission, Mapping[Part, State]]]:
    """Each submission with the state of each of its parts."""
    submissions = list(record.read(root))
    known = {}
    for dialect in {submission.scheduler for submission in submissions}:
        scheduler = schedulers.of_dialect(dialect)
        numbers = [number for submission in submissions if submission.scheduler == dialect
                   for number in submission.job_ids()]
        known[dialect] = scheduler.states(numbers) if scheduler.is_here() else None
    return [(submission, {part: _state(part, submission, known[submission.scheduler])
                          for part in submission.parts})
            for submission in submissions]


def _state(part, submission, known):
    """That of the number under which a part is active, else of its last."""
    if known is None:  # submitted from another cluster that has this disk too
        return State('unknown here, without {}'.format(
            schedulers.of_dialect(submission.scheduler).command), False)
    whole = known.get(submission.jobs[part.name], UNKNOWN)
    states = [known.get(part.job_id, whole),
              *(known.get(number, UNKNOWN) for number in submission.ids(part)[1:])]
    return next((state for state in states if state.active), states[-1])


def _finished(run):
    return pathlib.Path(run, RESULT).exists()
