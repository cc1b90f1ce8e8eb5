"""The driver of a search: keeps the queue fed, takes trials back from the dead, shows the state."""
import logging
import time
from collections.abc import Callable
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search import experiments, lease
from chainer_kfac.search.connection import PATIENCE, lasting
from chainer_kfac.search.documents import Experiment
from chainer_kfac.search.driver_lease import DriverLease
from chainer_kfac.search.observed import Observed
from chainer_kfac.search.registration import EVERY
from chainer_kfac.search.store import Store
from chainer_kfac.search.suggest import Suggester

logger = logging.getLogger(__name__)

_errors = require('pymongo.errors', 'the search')

BUSY_PAUSE, QUIET_PAUSE = 0.1, 1.0
"""Seconds between two rounds: when something has just happened, and when nothing has."""
COUNT_EVERY = 2.0
"""Seconds between two counts of idle workers."""


class Driver:
    """Runs a search until all its trials have ended.

    It holds no state that the database does not: killed at any time, the next driver goes on.

    Args:
        store (Store): the database.
        experiment (Experiment): what to search; ``search['trials']`` says how many trials.
        first (tuple or None): values and origin of the first trial.
        workers (LocalWorkers): started and looked after; may be none.
        revive (callable): called when the database does not answer, to start an embedded one.
        show (callable): called with the state of the search in every round.
        patience (float): seconds for which a lost database is waited for.
    """

    def __init__(self, store: Store, experiment: Experiment, workers,
                 first: tuple[dict[str, float], str] | None = None,
                 revive: Callable[[], Any] = lambda: None,
                 show: Callable[['Observed', list], Any] = lambda observed, ended: None,
                 patience: float = PATIENCE):
        self._store = store
        self._experiment = experiment
        self._first = first
        self._workers = workers
        self._revive = revive
        self._show = show
        self._patience = patience
        self._suggest = Suggester.of(experiment)
        self._sweeper = lease.Sweeper(store)
        self._lease = DriverLease(store, experiment.exp_key)
        self._idle = 0
        self._counted = self._swept = float('-inf')

    def run(self) -> Observed:
        """Drive the search to its end.

        Returns:
            Observed: all trials.
        Raises:
            SearchError: if another driver has the experiment, if no local worker can go on, or if
                a point of the space makes no trial.
            ServerError: if the database stays away.
        """
        self._insist(self._store.create_indexes)
        self._insist(self._lease.acquire)
        try:
            self._insist(lambda: experiments.keep_options(self._store, self._experiment))
            observed = self._insist(lambda: Observed(self._store, self._experiment))
            total = self._experiment.search['trials']
            while observed.ended < total:
                ended = self._round(observed, total)
                self._show(observed, ended)
                time.sleep(BUSY_PAUSE if ended else QUIET_PAUSE / 4 if observed.waiting
                           <= self._idle else QUIET_PAUSE)
            return observed
        finally:
            self._workers.stop()
            try:
                self._lease.release()
            except _errors.PyMongoError as error:
                logger.warning('the lease of this driver runs out by itself: %s',
                               type(error).__name__)

    def _round(self, observed, total):
        self._insist(self._lease.renew)
        self._workers.supervise()
        ended = self._insist(observed.refresh)
        self._sweep()
        if len(observed) < total:
            self._count_idle(observed)
            for _ in range(min(self._idle + 1 - observed.waiting, total - len(observed))):
                self._propose(observed)
        return ended

    def _propose(self, observed):
        tid = observed.next_tid
        if tid == 0 and self._first is not None:
            raw, origin = self._first
        else:
            raw, origin = self._suggest(tid, observed.trials)
        trial = self._experiment.new_trial(tid, raw, origin)
        self._experiment.values(trial)  # one that no worker takes would be proposed for ever
        self._insist(lambda: observed.insert(trial))

    def _count_idle(self, observed):
        """How many workers wait: the queue holds one trial for each, and one more."""
        if time.monotonic() - self._counted > COUNT_EVERY:
            self._counted = time.monotonic()
            self._idle = self._insist(lambda: observed.idle_workers(3 * EVERY))

    def _sweep(self):
        exp_key, search = self._experiment.exp_key, self._experiment.search
        if time.monotonic() - self._swept < search['lease'] / lease.BEATS:
            return
        self._swept = time.monotonic()
        taken = self._insist(lambda: self._sweeper.sweep(exp_key, search['lease'],
                                                         search['setbacks']))
        if taken:
            logger.warning('%d trial%s taken back: no sign of life from the worker for %g s', taken,
                           's' if taken > 1 else '', search['lease'])

    def _insist(self, operation):
        def attempt():
            try:
                return operation()
            except _errors.PyMongoError:
                self._sweeper.connection_lost()
                self._revive()
                raise
        return lasting(attempt, self._store.address, self._patience)
