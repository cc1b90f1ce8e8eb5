"""The runs of a sweep, some at a time: skip what is done, go on past failures, stop when told."""
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence

from chainer_kfac.exceptions import ConfigError, KFACError
from chainer_kfac.sweeps import devices, estimate, failure, launch
from chainer_kfac.sweeps.child import CONSOLE, Child, environment
from chainer_kfac.sweeps.console import Console
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.run_directory import RESULT, RunDirectory, path
from chainer_kfac.training.stop import SIGNALS, Interrupted, same_command

POLL_SECONDS = 0.2
GRACE_SECONDS = 300
"""How long an interrupted run may take to reach the end of its update and store a snapshot."""


class Sweep:
    """Trains configurations, each in a process of its own.

    Args:
        configs (list of RunConfig): in the order in which they start.
        root (path): root of all runs.
        jobs (int): how many run at a time.
        force (bool): whether to train finished runs again.
        after (callable): called without arguments whenever a run has ended.
        console (Console): where progress is shown.
        ranks (int): processes that work on each run together.
    Raises:
        ConfigError: if ``jobs`` is less than 1.

    Attributes:
        finished (int): number of runs that have a result.
        failed (list of str): a sentence for each run that has none and will not get one.
    """

    def __init__(self, configs: Sequence[RunConfig], root: str | os.PathLike = 'runs',
                 jobs: int = 1, force: bool = False, after: Callable[[], object] | None = None,
                 console: Console | None = None, ranks: int = 1):
        if jobs < 1:
            raise ConfigError('the number of jobs must be at least 1, got {}'.format(jobs))
        launch.prefix(ranks)  # which says what is missing
        self._runs = [(config, path(config, root)) for config in configs]
        self._pending = []
        self._running = {}  # slot -> Child
        self._root = root
        self._jobs = jobs
        self._ranks = ranks
        self._force = force
        self._after = after or (lambda: None)
        self._console = console or Console()
        self.finished = 0
        self.failed = []

    def run(self):
        """Train what is not finished; ``failed`` tells afterwards what did not succeed.

        On SIGINT, SIGTERM, SIGUSR1 or SIGHUP the running ones are asked to store a snapshot and
        are waited for; a second signal ends them at once.  The same sweep later goes on from there.

        Raises:
            ConfigError: before a run is discarded, if there is no such GPU as one wants.
            Interrupted: after such a signal.
        """
        self._look_at_what_is_there()
        handlers = {number: signal.signal(number, _raise_interrupted)
                    for number in (*SIGNALS, signal.SIGHUP)
                    if signal.getsignal(number) != signal.SIG_IGN}  # as nohup sets it
        try:
            with tempfile.TemporaryDirectory() as requests:
                while self._pending or self._running:
                    self._start(requests)
                    time.sleep(POLL_SECONDS)
                    self._reap()
                    self._console.status(self._describe)
        except Interrupted as interrupt:
            self._console.line('Stopping: the runs store a snapshot; interrupt again to end them '
                               'at once.')
            self._stop()
            raise Interrupted(interrupt.signum, say_how_to_go_on(
                self.finished, len(self._runs), self._force)) from None
        except BaseException:  # the children are in process groups of their own
            self._stop()
            raise
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self._console.close()

    def _look_at_what_is_there(self):
        if self._force:
            self._check_devices()
        for config, directory in self._runs:
            try:
                # All are emptied before the first begins: after an interruption the same sweep,
                # no longer forced, then goes on with all that this one has not reached.
                result = (discard(directory) if self._force
                          else RunDirectory(directory).check(config))
            except KFACError as error:
                self._fail(directory, error)
                continue
            if result is None:
                self._pending.append((config, directory))
            else:
                self.finished += 1
        if self.finished:
            self._console.line('{} of {} runs were finished before.'.format(
                self.finished, len(self._runs)))

    def _check_devices(self):
        """What can never begin must not cost what it was to replace."""
        for wanted in dict.fromkeys(config.device for config, _ in self._runs):
            if wanted not in ('auto', -1):
                from chainer_kfac.training import device  # imports Chainer, which takes seconds
                device.choose(wanted)

    def _start(self, requests):
        for slot in range(self._jobs):
            if slot not in self._running and self._pending:
                config, directory = self._pending.pop(0)
                variables = environment(slot, self._jobs, devices.cores(), devices.gpus(),
                                        ranks=self._ranks)
                try:
                    self._running[slot] = Child(config, directory, self._root, requests,
                                                variables, self._ranks)
                except OSError as error:
                    self._fail(directory, 'cannot be begun: {}'.format(error))

    def _reap(self):
        for slot, child in list(self._running.items()):
            if child.poll() is None:
                continue
            del self._running[slot]
            reason = child.finish()
            if reason is None:
                self.finished += 1
                self._console.line(self._count() + _success(child.directory))
            else:
                self._fail(child.directory, '{} (all it said: {})'.format(
                    reason, child.directory / CONSOLE))
            try:
                self._after()
            except KFACError as error:  # a damaged file among the other runs
                self._console.line('The tables are as they were: {}'.format(error))

    def _fail(self, directory, reason):
        self.failed.append('{}: {}'.format(directory, reason))
        self._console.line('{}FAILED {}'.format(self._count(), self.failed[-1]))

    def _stop(self):
        """End the children, in their own time or, after a second signal, in none."""
        try:
            for child in self._running.values():
                child.interrupt()
            for child in self._running.values():
                child.wait(GRACE_SECONDS)
        except (Interrupted, subprocess.TimeoutExpired):
            for child in self._running.values():
                child.kill()
                child.wait()

    def _count(self):
        return '[{}/{}] '.format(self.finished + len(self.failed), len(self._runs))

    def _describe(self):
        running_for = {child.directory: child.seconds for child in self._running.values()}
        by_directory = {
            directory: estimate.measure(config, directory, running_for.get(directory, 0.0))
            for config, directory in self._runs}
        running = ['{}: epoch {} of {}'.format(
            _name(child.directory), by_directory[child.directory].done,
            by_directory[child.directory].total) for child in self._running.values()]
        ahead = [by_directory[directory] for _, directory in self._pending]
        ahead += [by_directory[child.directory] for child in self._running.values()]
        left = estimate.seconds_left(ahead, list(by_directory.values()), self._jobs)
        return self._count() + '; '.join([estimate.say(left), *running])


def discard(directory) -> None:
    """Empty a run directory, and forget why its last attempt failed.

    Raises:
        RunDirectoryError: if another process holds it.
    """
    RunDirectory(directory).discard()
    failure.clear(directory)


def say_how_to_go_on(finished: int, runs: int, force: bool) -> str:
    """What an interrupted sweep says."""
    return 'stopped with {} of {} runs finished; {} goes on from there'.format(
        finished, runs, same_command(force))


def _raise_interrupted(signum, frame):
    raise Interrupted(signum, 'interrupted')


def _success(directory):
    result = json.loads((directory / RESULT).read_text())
    return '{}: {:.4f} at epoch {}, {:.3g} s an epoch'.format(
        _name(directory), result['best_val_acc'], result['best_epoch'],
        result['seconds_per_epoch'])


def _name(directory):
    return '/'.join(directory.parts[-2:])
