"""What a search has found: the best trial, counts, what pruning saved. Pure functions."""
import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from chainer_kfac.search import objectives, pruning
from chainer_kfac.search.documents import DONE, ERROR, NEW, RUNNING, Experiment
from chainer_kfac.search.errors import SearchError


@dataclasses.dataclass(frozen=True)
class Counts:
    """Trials by what has become of them; ``pruned`` is a part of ``done``."""

    waiting: int
    running: int
    done: int
    pruned: int
    failed: int

    @property
    def ended(self) -> int:
        return self.done + self.failed


def counts(trials: Sequence[dict[str, Any]]) -> Counts:
    return Counts(
        waiting=sum(trial['state'] == NEW for trial in trials),
        running=sum(trial['state'] == RUNNING for trial in trials),
        done=sum(map(is_good, trials)),
        pruned=sum(is_good(trial) and bool(trial['result'].get('pruned')) for trial in trials),
        failed=sum(map(is_failed, trials)))


def is_good(trial: dict[str, Any]) -> bool:
    """Whether a trial has ended with a loss."""
    return trial['state'] == DONE and trial['result'].get('status') == 'ok'


def is_failed(trial: dict[str, Any]) -> bool:
    """Whether a trial has ended without one."""
    return trial['state'] in (DONE, ERROR) and not is_good(trial)


def best(trials: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The trial of the lowest loss; the earlier one of equals."""
    good = [trial for trial in trials if is_good(trial)]
    return min(good, key=lambda trial: (trial['result']['loss'], trial['tid']), default=None)


def values(experiment: Experiment, trial: dict[str, Any]) -> dict[str, float | int]:
    """The hyperparameters of a trial."""
    return experiment.space.values({name: each[0] for name, each in trial['misc']['vals'].items()})


def saving(experiment: Experiment, trials: Sequence[dict[str, Any]]) -> tuple[int, int, int]:
    """Pruned trials, epochs saved, epochs without pruning; see `pruning.saving`."""
    epochs = objectives.find(experiment.objective).epochs(experiment.settings)
    return pruning.saving([(trial['result'].get('epochs') or epochs,
                            bool(trial['result'].get('pruned')))
                           for trial in trials if is_good(trial)], epochs)


def seconds_left(experiment: Experiment, trials: Sequence[dict[str, Any]]) -> float | None:
    """Seconds until all trials have ended, at the pace of the last ones; None before the first."""
    took = [trial['result']['seconds'] for trial in trials
            if is_good(trial) and isinstance(trial['result'].get('seconds'), (int, float))][-20:]
    now = counts(trials)
    if not took:
        return None
    # those that run are half done, on average
    ahead = max(0, experiment.search['trials'] - now.ended) - now.running / 2
    return statistics.fmean(took) * ahead / max(1, now.running)


def describe_values(found: dict[str, float | int]) -> str:
    """``lr=0.00943, momentum=0.642``"""
    return ', '.join('{}={:.6g}'.format(*item) for item in found.items())


def status(experiment: Experiment, trials: Sequence[dict[str, Any]],
           duplicates: int = 0) -> list[str]:
    """A few lines for a reader."""
    now, top = counts(trials), best(trials)
    pruned, saved, whole = saving(experiment, trials)
    lines = ['{}: {} of {} trials ended ({} with a loss, {} failed), {} running, {} waiting'.format(
        experiment.exp_key, now.ended, experiment.search['trials'], now.done, now.failed,
        now.running, now.waiting)]
    if top is not None:
        lines.append('best: loss {:.6g}, trial {} ({})'.format(
            top['result']['loss'], top['tid'], describe_values(values(experiment, top))))
    if whole:
        lines.append('pruning: {} of {} trials stopped early, {} of {} epochs saved ({:.0%})'
                     .format(pruned, now.done, saved, whole, saved / whole))
    reasons = [trial['result'].get('reason', 'unknown') for trial in trials if is_failed(trial)]
    if reasons:
        lines.append('failed: ' + ', '.join('{} {}'.format(reasons.count(reason), reason)
                                            for reason in dict.fromkeys(reasons)))
    setbacks = sum(len(trial.get('history', ())) for trial in trials)
    if setbacks or duplicates:
        lines.append('attempts that were begun again: {}; late results kept as duplicates: {}'
                     .format(setbacks, duplicates))
    return lines


def need_best(experiment: Experiment, trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The best trial; raises SearchError if none has ended with a loss."""
    top = best(trials)
    if top is None:
        raise SearchError('no trial of {} has ended with a loss yet'.format(experiment.exp_key))
    return top
