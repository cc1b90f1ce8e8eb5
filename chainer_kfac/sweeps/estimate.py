"""How long a sweep will still take, from what its runs have taken so far."""
import dataclasses
import json
import statistics

CIFAR10_SIZE = 50000


@dataclasses.dataclass(frozen=True)
class Measured:
    """Progress of one run.

    Attributes:
        optimizer (str), batch_size (int): its cell.
        total (int): epochs it will have.
        done (int): epochs it has.
        seconds (float): what those took; before the first, how long it has been running.
    """

    optimizer: str
    batch_size: int
    total: int
    done: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """Seconds an epoch; ``None`` before the first."""
        return self.seconds / self.done if self.done else None


def measure(config, directory, running=0.0) -> Measured:
    """Read a run's progress from its ``log``, which is there before its result.

    Args:
        config (RunConfig): the run.
        directory (pathlib.Path): its directory.
        running (float): seconds since its process started, if it is running.
    """
    total = config.length(config.train_size or CIFAR10_SIZE)
    try:
        last = json.loads((directory / 'log').read_text())[-1]
    except (FileNotFoundError, ValueError, IndexError):  # not there, or being written
        return Measured(config.optimizer, config.batch_size, total, seconds=running)
    return Measured(config.optimizer, config.batch_size, total, last['epoch'],
                    last['elapsed_time'])


def seconds_left(ahead, measured, jobs) -> float | None:
    """Seconds until the last run ends.

    A run that has no epoch yet is taken to be as fast as those of its cell, else of its optimizer,
    else of the sweep, but an epoch of it takes at least as long as it has been running.

    Args:
        ahead (list of Measured): runs that have not ended.
        measured (list of Measured): all runs of the sweep, to learn from.
        jobs (int): how many run at a time.
    Returns:
        float or None: ``None`` before the first epoch of the first run.
    """
    left = []
    for run in ahead:
        rate = run.rate or _expected(run, measured)
        if rate is None:
            return None
        if run.rate is None:
            rate = max(rate, run.seconds)
        left.append(max(0, run.total - run.done) * rate)
    return max(max(left, default=0), sum(left) / jobs)


def _expected(run, measured):
    for alike in (lambda other: (other.optimizer, other.batch_size)
                  == (run.optimizer, run.batch_size),
                  lambda other: other.optimizer == run.optimizer,
                  lambda other: True):
        rates = [other.rate for other in measured if other.rate is not None and alike(other)]
        if rates:
            return statistics.fmean(rates)
    return None


def say(seconds) -> str:
    """A duration for a reader: '45 s', '12 min', '3 h 20 min'."""
    if seconds is None:
        return 'time left unknown'
    minutes = round(seconds / 60)
    if seconds < 90:
        return 'about {:.0f} s left'.format(seconds)
    if minutes < 90:
        return 'about {} min left'.format(minutes)
    return 'about {} h {:02d} min left'.format(minutes // 60, minutes % 60)
