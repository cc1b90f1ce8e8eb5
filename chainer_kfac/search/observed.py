"""A driver's copy of its trials, kept up to date with few and small requests."""
import contextlib
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search.documents import DONE, ERROR, NEW, RUNNING, Experiment
from chainer_kfac.search.store import Store

_errors = require('pymongo.errors', 'the search')

_ENDED = (DONE, ERROR)
_WITHOUT = {'curve': False}


class Observed:
    """The trials of one experiment.

    A trial that has ended never changes again and is fetched once more only if this copy is made
    anew; a refresh asks for the open ones. (hyperopt's own refresh asks for all, several times.)

    Documents that are no trials of the experiment are left out; their numbers count as taken.

    Args:
        store (Store): the database.
        experiment (Experiment): whose trials.
    """

    def __init__(self, store: Store, experiment: Experiment):
        self._store = store
        self._experiment = experiment
        self._exp_key = experiment.exp_key
        self._trials = {}
        self._taken = -1  # the highest number
        for trial in store.jobs.find({'exp_key': self._exp_key}, projection=_WITHOUT):
            self._add(trial)

    @property
    def trials(self) -> list[dict[str, Any]]:
        """All trials in order of their number."""
        return [self._trials[tid] for tid in sorted(self._trials)]

    @property
    def next_tid(self) -> int:
        """The lowest number above all that are taken."""
        return self._taken + 1

    def __len__(self) -> int:
        return len(self._trials)

    def refresh(self) -> list[dict[str, Any]]:
        """Fetch what may have changed; returns the trials that have ended since the last call."""
        open_tids = [tid for tid, trial in self._trials.items() if trial['state'] not in _ENDED]
        if not open_tids:
            return []
        found = list(self._store.jobs.find(
            {'exp_key': self._exp_key, 'tid': {'$in': open_tids}}, projection=_WITHOUT))
        for tid in open_tids:
            del self._trials[tid]
        for trial in found:
            self._add(trial)
        return [trial for trial in found
                if trial['tid'] in self._trials and trial['state'] in _ENDED]

    def insert(self, trial: dict[str, Any]) -> None:
        """Put a new trial into the queue.

        When its number is taken, by this driver whose answer was lost or by another one, the trial
        that is there is fetched instead.
        """
        with contextlib.suppress(_errors.DuplicateKeyError):
            self._store.jobs.insert_one(dict(trial))
        there = self._store.jobs.find_one({'exp_key': self._exp_key, 'tid': trial['tid']},
                                          projection=_WITHOUT)
        if there is not None:
            self._add(there)

    def _add(self, trial):
        if type(trial.get('tid')) is int:
            self._taken = max(self._taken, trial['tid'])
        if self._experiment.is_sound(trial):
            self._trials[trial['tid']] = trial

    def count(self, *states: int) -> int:
        return sum(trial['state'] in states for trial in self._trials.values())

    @property
    def waiting(self) -> int:
        return self.count(NEW)

    @property
    def running(self) -> list[dict[str, Any]]:
        return [trial for trial in self.trials if trial['state'] == RUNNING]

    @property
    def ended(self) -> int:
        return self.count(*_ENDED)

    def idle_workers(self, fresh: float) -> int:
        """Workers that wait for a trial of this experiment and were heard in the last seconds."""
        found = list(self._store.workers.find({'state': 'idle'},
                                              projection=['exp_key', 'refresh_time']))
        found = [each for each in found if each.get('exp_key') in (None, self._exp_key)]
        if not found:
            return 0
        now = self._store.now()
        return sum((now - each['refresh_time']).total_seconds() < fresh for each in found
                   if each.get('refresh_time') is not None)
