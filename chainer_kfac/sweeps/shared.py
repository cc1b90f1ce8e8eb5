"""The runs of a sweep, one after the other, in the ranks that an MPI launcher has started."""
from collections.abc import Callable, Sequence

from chainer_kfac.exceptions import KFACError
from chainer_kfac.sweeps import failure
from chainer_kfac.sweeps.console import Console
from chainer_kfac.sweeps.runner import discard, say_how_to_go_on
from chainer_kfac.training import device
from chainer_kfac.training import run as train
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.run_directory import path
from chainer_kfac.training.stop import Interrupted


class SharedSweep:
    """As `Sweep`, where all ranks together are the processes of each run.

    Every rank makes one and calls `run`. A run that fails on all ranks, because it diverges for
    instance, is noted and the next one begins; one that loses a rank ends the sweep, and the same
    command goes on with that run.

    Args:
        ranks (Ranks): of this job.
        configs, root, force, after: as `Sweep` takes them.

    Attributes:
        finished, failed: as those of `Sweep`, on every rank.
    """

    def __init__(self, ranks, configs: Sequence[RunConfig], root='runs', force: bool = False,
                 after: Callable[[], object] | None = None):
        self._ranks = ranks
        self._runs = [(config, path(config, root)) for config in configs]
        self._force = force
        self._after = after or (lambda: None)
        self._console = Console() if ranks.rank == 0 else None
        self.finished = 0
        self.failed = []

    def run(self) -> None:
        """Train what is not finished.

        Raises:
            ConfigError: before the first run, if the ranks cannot have the GPUs that they want.
            Interrupted: after a signal to any rank.
        """
        for wanted in dict.fromkeys(config.device for config, _ in self._runs):
            device.of_rank(wanted, self._ranks)
        for config, directory in self._emptied() if self._force else self._runs:
            try:
                self._ranks.first(_clear, directory)
                result = train(config, directory, progress='none', comm=self._ranks)
            except Interrupted as interrupt:
                raise Interrupted(interrupt.signum, say_how_to_go_on(
                    self.finished, len(self._runs), self._force)) from None
            except KFACError as error:
                self._fail(config, directory, error)
            else:
                self.finished += 1
                self._say('{}: {:.4f} at epoch {}, {:.3g} s an epoch'.format(
                    '/'.join(directory.parts[-2:]), result['best_val_acc'], result['best_epoch'],
                    result['seconds_per_epoch']))
            self._ranks.first(self._after)

    def _emptied(self):
        """The runs, all of them discarded before the first begins, as `Sweep` does."""
        runs = []
        for config, directory in self._runs:
            try:
                self._ranks.first(discard, directory)
                runs.append((config, directory))
            except KFACError as error:
                self._fail(config, directory, error)
        return runs

    def _fail(self, config, directory, error):
        self.failed.append('{}: {}'.format(directory, error))
        self._ranks.first(failure.write, directory, config, error.exit_code, str(error))
        self._say('FAILED ' + self.failed[-1])

    def _say(self, text):
        if self._console is not None:
            self._console.line('[{}/{}] {}'.format(
                self.finished + len(self.failed), len(self._runs), text))


def _clear(directory):
    directory.mkdir(parents=True, exist_ok=True)
    failure.clear(directory)
