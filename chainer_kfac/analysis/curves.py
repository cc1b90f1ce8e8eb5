"""Accuracy over the course of a run, and the seeds of a cell put together as one line."""
import dataclasses
import itertools
import statistics
from collections.abc import Sequence

from chainer_kfac.analysis import rows
from chainer_kfac.analysis.runs import Run

ACCURACIES = {'validation': 'validation/main/accuracy', 'train': 'main/accuracy'}
"""Name -> key of the log.

The training accuracy of an epoch is the mean over its batches, as the weights were when each batch
came, of augmented images and with dropout; the validation accuracy is of the weights at its end.
"""


@dataclasses.dataclass(frozen=True)
class Band:
    """The mean over seeds, and the lowest and highest of them, epoch by epoch."""

    mean: list[float]
    low: list[float]
    high: list[float]

    @property
    def last(self) -> float:
        return self.mean[-1]


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line of a figure.

    Attributes:
        seeds (list of int): whose mean it is.
        state (str): of those runs, as in ``Run``.
        x (dict of str to list of float): 'iteration', 'epoch' and 'seconds' at the end of each
            epoch. The seconds are epochs times the median epoch, so that a pause of the machine is
            no part of them; means over the seeds.
        train (Band), validation (Band): accuracies, fractions.
        gap (Band): training minus validation accuracy of each seed.
    """

    seeds: list[int]
    state: str
    x: dict[str, list[float]]
    train: Band
    validation: Band
    gap: Band


def of(runs: Sequence[Run]) -> list[Curve]:
    """The lines of one cell.

    Finished seeds make one line.  A run in any other state is a line of its own, as far as its log
    goes, and so is each seed of a cell whose seeds were not trained alike.

    Args:
        runs (list of Run): the seeds of the cell.
    """
    runs = [run for run in runs if run.log]
    finished = [run for run in runs if run.state == 'finished']
    together = [] if rows.conflicts(runs) else finished
    groups = [together] if together else []
    groups += [[run] for run in runs if run not in together]
    return [_curve(group) for group in groups]


def median_epoch(run: Run) -> float:
    """Seconds of the median epoch of a run that has one."""
    ends = [0.0, *(entry['elapsed_time'] for entry in run.log)]
    return statistics.median(after - before for before, after in itertools.pairwise(ends))


def _curve(runs):
    train, validation = ([[entry[ACCURACIES[name]] for entry in run.log] for run in runs]
                         for name in ('train', 'validation'))
    gap = [[t - v for t, v in zip(*pair, strict=True)]
           for pair in zip(train, validation, strict=True)]
    epochs = [entry['epoch'] for entry in runs[0].log]
    seconds = statistics.fmean(map(median_epoch, runs))
    x = {'iteration': [entry['iteration'] for entry in runs[0].log], 'epoch': epochs,
         'seconds': [epoch * seconds for epoch in epochs]}
    return Curve(seeds=[run.config['seed'] for run in runs], state=runs[0].state, x=x,
                 train=_band(train), validation=_band(validation), gap=_band(gap))


def _band(values):
    epochs = _by_epoch(values)
    return Band(*(list(map(function, epochs)) for function in (statistics.fmean, min, max)))


def _by_epoch(values):
    """From one list a run to one tuple an epoch; finished runs of one cell are equally long."""
    return list(zip(*values, strict=True))
