"""A worker: takes trials from the database, evaluates them, writes the results back."""
import contextlib
import logging
import os
import pathlib
import random
import socket
import time
import uuid
from typing import Any

from chainer_kfac.communicators.ranks import Alone
from chainer_kfac.compat import require
from chainer_kfac.search import admission, evaluation, experiments, lease, objectives
from chainer_kfac.search.connection import PATIENCE, is_passing, lasting
from chainer_kfac.search.documents import DONE, ERROR
from chainer_kfac.search.errors import RefusedTrial, SearchError
from chainer_kfac.search.estimate import Durations
from chainer_kfac.search.heartbeat import Heartbeat
from chainer_kfac.search.progress import Judge, Progress, Rivals
from chainer_kfac.search.registration import Registration
from chainer_kfac.search.spool import Spool
from chainer_kfac.search.stopping import Stopped, Stopping
from chainer_kfac.search.store import Store

logger = logging.getLogger(__name__)

_errors = require('pymongo.errors', 'the search')

FIRST_WAIT, SHORTEST_WAIT, LONGEST_WAIT = 0.3, 3.0, 4.7
"""Seconds between two looks for a trial: at first, and once there was none for a while."""
FEW = 3
"""Trials in a row that may crash before the worker takes the blame."""
LAST_WORDS = 10.0
"""Seconds for which a worker that is told to stop tries to give its trial back."""


class Worker:
    """One worker. With an MPI job, this is rank 0's part; the others call `follow`.

    Args:
        store (Store): the database.
        root (path): root of all runs; trials train below ``root/search``.
        exp_key (str or None): takes only trials of that experiment.
        max_trials (int or None): how many to take.
        stopping (Stopping): deadline and signals.
        device (str or int): as ``RunConfig.device``.
        ranks (Alone or Ranks): who evaluates.
        patience (float): seconds for which a lost database is waited for.
        until_done (bool): whether to leave when all trials of ``exp_key`` have ended.

    Attributes:
        name (str): unique among all workers.
        done (int): trials taken and brought to an end.
    """

    def __init__(self, store: Store, root: str | os.PathLike = 'runs', exp_key: str | None = None,
                 max_trials: int | None = None, stopping: Stopping | None = None,
                 device: str | int = 'auto', ranks=None, patience: float = PATIENCE,
                 until_done: bool = False):
        self.name = '{}:{}:{}'.format(socket.gethostname(), os.getpid(), uuid.uuid4().hex[:8])
        self.done = 0
        self._store = store
        self._root = pathlib.Path(root, 'search')
        self._exp_key = exp_key
        self._max_trials = max_trials
        self._stopping = stopping or Stopping()
        self._device = device
        self._ranks = ranks or Alone()
        self._patience = patience
        self._until_done = until_done
        self._spool = None  # once the database has said which one it is
        self._durations = Durations(store, exp_key)
        self._sweeper = lease.Sweeper(store)
        self._registration = Registration(store, self.name, exp_key)
        self._latest = None  # the experiment of the latest trial
        self._rivals = {}
        self._unsure = False  # whether the answer to a reservation may have been lost
        self._wait = FIRST_WAIT
        self._swept = time.monotonic()
        self._crashes = 0

    def run(self) -> None:
        """Work until told to stop, until the time is up, or until there was enough.

        Raises:
            ServerError: if the database stays away; results that it does not have are on the disk.
            KFACError: if this worker cannot evaluate anything.
        """
        try:
            self._spool = Spool(self._root / 'spool', self._insist(self._store.identity))
            self._insist(self._registration.idle)
            while self._more():
                self._deliver()
                trial = self._reserve()
                if trial is not None:
                    self._work(trial)
                elif self._until_done and self._insist(
                        lambda: experiments.is_over(self._store, self._exp_key)):
                    logger.info('all trials of %s have ended', self._exp_key)
                    break
        except Stopped:
            pass
        finally:
            self._ranks.bcast(None)
            self._registration.leave()

    def _more(self):
        self._stopping.check()
        if self._max_trials is not None and self.done >= self._max_trials:
            return False
        deadline = self._stopping.deadline
        if deadline is None:
            return True
        needed = self._insist(self._durations.longest)
        if time.monotonic() + needed > deadline:
            logger.info('no trial is begun any more: one takes up to %.0f s and %.0f s are left',
                        needed, deadline - time.monotonic())
            return False
        return True

    def _insist(self, operation):
        def attempt():
            try:
                return operation()
            except _errors.PyMongoError as error:
                self._unsure = self._unsure or is_passing(error)
                self._sweeper.connection_lost()
                raise
        return lasting(attempt, self._store.address, self._patience, self._stopping.pause)

    def _reserve(self):
        """A trial, or None after having waited for one."""
        trial = None
        if self._unsure:
            trial = self._insist(lambda: lease.recover(self._store, self.name, self._exp_key))
            self._unsure = False
        if trial is None:
            trial = self._insist(lambda: lease.reserve(self._store, self.name, self._exp_key))
        if trial is None:
            self._insist(self._registration.idle)
            self._sweep()
            self._stopping.pause(self._wait * random.uniform(0.8, 1.2)
                                 if self._wait < SHORTEST_WAIT
                                 else random.uniform(SHORTEST_WAIT, LONGEST_WAIT))
            self._wait *= 1.6
        else:
            self._wait = FIRST_WAIT
        return trial

    def _sweep(self):
        """Take trials back from the dead, now and then: the driver may be dead as well."""
        if self._latest is None and self._exp_key is not None:
            with contextlib.suppress(RefusedTrial):     # said of each of its trials
                self._latest = self._insist(lambda: experiments.find(self._store, self._exp_key))
        if self._latest is None or time.monotonic() - self._swept < self._latest.search['lease']:
            return
        self._swept = time.monotonic()
        options = self._latest.search
        self._insist(lambda: self._sweeper.sweep(self._latest.exp_key, options['lease'],
                                                 options['setbacks']))

    def _deliver(self):
        """Send what is in the spool: results of this worker, or of one that died here."""
        for path, claim, state, result, curve in self._spool.waiting():
            self._send(path, claim, state, result, curve)

    def _send(self, path, claim, state, result, curve):
        answer = self._insist(lambda: lease.finish(self._store, claim, state, result, curve))
        if answer == 'duplicate':
            logger.warning('trial %s of %s was taken from this worker before it was done: this '
                           'result is kept as a duplicate and does not count', claim.tid,
                           claim.exp_key)
        elif answer == 'gone':
            logger.warning('trial %s of %s is not in %s any more: its result is dropped',
                           claim.tid, claim.exp_key, self._store.address)
        if path is not None:
            path.unlink(missing_ok=True)

    def _work(self, trial):
        claim = lease.Claim.of(trial)
        try:
            experiment, values = self._check(claim, trial)
        except RefusedTrial as error:
            logger.error('refused: %s', error)
            refused = lease.failure('refused', str(error))
            self._insist(lambda: lease.finish(self._store, claim, ERROR, refused, []))
            return
        except BaseException as error:  # ours, not the trial's
            self._release(claim, trial, type(error).__name__)
            raise
        self._insist(lambda: self._registration.busy(claim))
        logger.info('trial %d of %s, attempt %d: %s', claim.tid, claim.exp_key, claim.attempt,
                    ', '.join('{}={:.6g}'.format(*item) for item in values.items()))
        outcome, curve = self._evaluate(experiment, values, claim, trial)
        self._settle(outcome, curve, experiment, claim, trial)
        self._stopping.trial_reason = None

    def _check(self, claim, trial):
        """The trial's experiment and its values; raises if one of them, or this worker, is unfit.
        """
        experiment = admission.experiment_of(self._store, claim, self._insist)
        self._latest = experiment
        with self._beating(experiment, claim):  # the images may take longer to load than a lease
            return experiment, admission.values_of(self._store, experiment, claim, trial,
                                                   self._insist)

    def _beating(self, experiment, claim):
        return Heartbeat(self._store, claim, experiment.search['lease'] / lease.BEATS,
                         self._stopping)

    def _evaluate(self, experiment, values, claim, trial):
        directory = (self._root / experiment.exp_key / 'trials-{}'.format(experiment.uid)
                     / '{:04d}'.format(claim.tid))
        objective = objectives.find(experiment.objective)
        rivals = self._rivals.setdefault(experiment.uid, Rivals(self._store, experiment.exp_key))
        judge = Judge(self._store, claim, objective.epochs(experiment.settings),
                      experiment.search['prune'], rivals)
        task = evaluation.Task(experiment.objective, values, experiment.settings)
        self._ranks.bcast((task, directory))
        progress = Progress(directory, self._device, self._ranks, self._stopping, judge,
                            trial.get('curve', ()))
        started = time.monotonic()
        with self._beating(experiment, claim):
            outcome = evaluation.evaluate(task, progress, self._ranks, self._stopping)
        seconds = time.monotonic() - started
        if outcome.kind == evaluation.OK:
            outcome.result.update(seconds=seconds, worker=self.name)
            self._durations.add(seconds)
        return outcome, progress.curve

    def _settle(self, outcome, curve, experiment, claim, trial):
        """Write down what came of an evaluation, each kind in its own way."""
        kind = outcome.kind
        if kind == evaluation.STOPPED:
            if self._stopping.trial_reason == 'lease lost':
                logger.warning('trial %d had gone to another worker; this evaluation was ended',
                               claim.tid)
            else:
                self._release(claim, trial, self._stopping.reason or 'stopped')
        elif kind == evaluation.BROKEN:
            self._release(claim, trial, type(outcome.error).__name__)
            raise outcome.error
        elif kind == evaluation.CRASHED:
            self._crashes += 1
            setbacks = trial.get('setbacks', 0) + 1
            if setbacks > experiment.search['setbacks']:
                self._finish(claim, ERROR, outcome.result, curve)
            else:
                self._release(claim, trial, outcome.result['message'], setbacks)
            if self._crashes >= FEW:
                raise SearchError('{} trials in a row crashed here, the last with {}: look into '
                                  'the log of this worker'.format(FEW, outcome.result['message']))
        else:
            self._crashes = 0
            self.done += 1
            self._finish(claim, DONE, outcome.result, curve)

    def _finish(self, claim, state, result, curve):
        """Keep a result on the disk, send it, and drop it once the database has it."""
        path = self._spool.put(claim, state, result, curve)
        try:
            self._send(path, claim, state, result, curve)
        except Stopped:
            if path is None:  # nowhere else to put it: insist for a little longer
                lasting(lambda: lease.finish(self._store, claim, state, result, curve),
                        self._store.address, LAST_WORDS)
            raise

    def _release(self, claim, trial, reason, setbacks=None):
        """Give the trial back; where the database is away, its lease will run out instead."""
        try:
            lasting(lambda: lease.release(self._store, claim, reason[:200],
                                          trial.get('history', []), setbacks),
                    self._store.address, LAST_WORDS)
            logger.info('trial %s of %s is back in the queue (%s)', claim.tid, claim.exp_key,
                        reason)
        except SearchError as error:
            logger.warning('trial %s could not be given back: %s; it returns to the queue when '
                           'its lease runs out', claim.tid, error)


def follow(ranks, stopping: Stopping, device: str | int) -> None:
    """The part of the ranks other than 0: evaluate what rank 0 has reserved, until it is done."""
    while True:
        order: Any = ranks.bcast(None)
        if order is None:
            return
        task, directory = order
        stopping.reason = stopping.trial_reason = None
        evaluation.evaluate(task, Progress(directory, device, ranks, stopping), ranks, stopping)
