"""What a driver shows while it runs."""
import sys
import time
from typing import Any

from chainer_kfac.search import objectives, results
from chainer_kfac.search.documents import RUNNING, Experiment
from chainer_kfac.search.observed import Observed
from chainer_kfac.sweeps.estimate import say

TERMINAL_SECONDS, FILE_SECONDS = 1.0, 60.0
MOST_ROWS = 12


class Live:
    """A line for each trial that ends, and below them, on a terminal, a table of the state.

    In a file or a job's log the state is one line, appended once a minute.

    Args:
        experiment (Experiment): the search.
        stream (file): the process's stderr when None.
    """

    def __init__(self, experiment: Experiment, stream=None):
        self._experiment = experiment
        self._epochs = objectives.find(experiment.objective).epochs(experiment.settings)
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._drawn = 0  # lines of the table that stand below the last line
        self._shown_at = float('-inf') if self._terminal else time.monotonic()

    def __call__(self, observed: Observed, ended: list[dict[str, Any]]) -> None:
        """Show the state.

        Args:
            observed (Observed): all trials.
            ended (list): those that have ended since the last call.
        """
        every = TERMINAL_SECONDS if self._terminal else FILE_SECONDS
        due = time.monotonic() - self._shown_at >= every
        if not ended and not due:
            return
        trials = observed.trials
        self._erase()
        for trial in sorted(ended, key=lambda trial: trial['tid']):
            self._write(self.ended(trial, trials))
        if due or self._terminal:
            self._shown_at = time.monotonic()
            table = self.table(trials) if self._terminal else [self.summary(trials)]
            self._write('\n'.join(table))
            self._drawn = len(table) if self._terminal else 0

    def close(self) -> None:
        """Take the table away."""
        self._erase()

    def ended(self, trial: dict[str, Any], trials: list[dict[str, Any]]) -> str:
        """One line about a trial that has ended."""
        now = results.counts(trials)
        head = '[{}/{}] trial {}: '.format(now.ended, self._experiment.search['trials'],
                                           trial['tid'])
        result = trial['result']
        if results.is_failed(trial):
            return head + 'FAILED, {}: {}'.format(result.get('reason'), result.get('message'))
        text = head + 'loss {:.5f}'.format(result['loss'])
        if result.get('pruned'):
            text += ', pruned ({}) after {} of {} epochs'.format(
                result['pruned'], result.get('epochs'), self._epochs)
        if isinstance(result.get('seconds'), (int, float)):
            text += ', {:.3g} s'.format(result['seconds'])
        top = results.best(trials)
        return text + (', the best so far' if top is trial or top['tid'] == trial['tid'] else
                       ', best {:.5f} (trial {})'.format(top['result']['loss'], top['tid']))

    def summary(self, trials: list[dict[str, Any]]) -> str:
        """The state in one line."""
        now, top = results.counts(trials), results.best(trials)
        return '{}: {}/{} ended ({} pruned, {} failed), {} running, {} waiting; {}; {}'.format(
            self._experiment.exp_key, now.ended, self._experiment.search['trials'], now.pruned,
            now.failed, now.running, now.waiting,
            'no loss yet' if top is None else 'best {:.5f}'.format(top['result']['loss']),
            say(results.seconds_left(self._experiment, trials)))

    def table(self, trials: list[dict[str, Any]]) -> list[str]:
        """The state with the best values and a line for each running trial."""
        lines = [self.summary(trials)]
        top = results.best(trials)
        if top is not None:
            lines.append('  best     {:>5}  {:.5f}  {}'.format(
                top['tid'], top['result']['loss'],
                results.describe_values(results.values(self._experiment, top))))
        running = [trial for trial in trials if trial['state'] == RUNNING]
        for trial in running[:MOST_ROWS]:
            last = trial.get('last') or {}
            loss = last.get('loss')
            lines.append('  running  {:>5}  {}  epoch {}/{}  {}'.format(
                trial['tid'], '   -   ' if loss is None else '{:.5f}'.format(loss),
                last.get('epoch', 0), self._epochs, trial['owner']))
        if len(running) > MOST_ROWS:
            lines.append('  and {} more'.format(len(running) - MOST_ROWS))
        return [line[:160] for line in lines]

    def _erase(self):
        if self._drawn:
            self._stream.write('\x1b[{}F\x1b[J'.format(self._drawn))
            self._drawn = 0

    def _write(self, text):
        self._stream.write(text + '\n')
        self._stream.flush()
