"""What an objective reports to, epoch by epoch."""
import logging
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search import lease, pruning
from chainer_kfac.search.documents import DONE, ERROR
from chainer_kfac.search.stopping import Stopped, Stopping
from chainer_kfac.search.store import Store

logger = logging.getLogger(__name__)

AWAY = 30.0
"""Seconds without a report after one that did not get through."""

_errors = require('pymongo.errors', 'the search')


class Pruned(Exception):
    """Ends a hopeless evaluation. ``rule`` is the one that spoke."""

    def __init__(self, rule: str):
        super().__init__('pruned by the {} rule'.format(rule))
        self.rule = rule


class Progress:
    """Takes the loss after each epoch, and says when to stop.

    Args:
        directory (path): the trial's folder.
        device (str or int): the worker's choice.
        ranks (Alone or Ranks): who evaluates; `report` is collective among them.
        stopping (Stopping): of this process.
        decide (callable): on rank 0, takes the new curve entry and returns None, or the pruning
            rule that ends the trial.

    Attributes:
        curve (list of dict): one entry an epoch.
        ranks (Alone or Ranks): who evaluates, for an objective that shares its work among them.
    """

    def __init__(self, directory: pathlib.Path, device: str | int, ranks, stopping: Stopping,
                 decide: Callable[[list], str | None] = lambda curve: None, curve=()):
        self.directory = directory
        self.device = device
        self.curve = list(curve)
        self.ranks = ranks
        self._stopping = stopping
        self._decide = decide

    def report(self, epoch: int, loss: float, **scalars: Any) -> None:
        """Report the loss after an epoch.

        Numbers that are not finite are stored as null: the embedded server has no NaN.

        Raises:
            Pruned: if the trial is hopeless.
            Stopped: on all ranks of an MPI job, if rank 0 was told to stop.
        """
        self._add({'epoch': epoch, 'loss': loss, **scalars})
        rule = self._decide(self.curve) if self.ranks.rank == 0 else None
        rule, ending = self.ranks.bcast((rule, self._stopping.reason
                                          or self._stopping.trial_reason))
        if ending is not None and not self._stopping.alone:
            self._stopping.trial_reason = self._stopping.trial_reason or ending
            raise Stopped(ending)
        if rule is not None:
            raise Pruned(rule)

    def _add(self, entry):
        """Append an entry; an attempt that began anew replaces what an earlier one reported."""
        self.curve = [each for each in self.curve if each['epoch'] < entry['epoch']]
        self.curve.append({key: finite(value) for key, value in entry.items()})


class Judge:
    """Stores the curve of a trial and applies the pruning rule to it.

    A database that is away is left alone for a while, so that it does not slow down the training;
    whatever is stored next is the whole curve.

    Args:
        store (Store): the database.
        claim (Claim): the trial.
        epochs (int): length of an unpruned trial.
        rule (str): one of ``pruning.RULES``.
        rivals (Rivals): the finished trials.
    """

    def __init__(self, store: Store, claim: lease.Claim, epochs: int, rule: str, rivals: 'Rivals'):
        self._store = store
        self._claim = claim
        self._epochs = epochs
        self._rule = rule
        self._rivals = rivals
        self._not_before = float('-inf')

    def __call__(self, curve: list[dict[str, Any]]) -> str | None:
        if time.monotonic() < self._not_before:
            return None
        try:
            lease.report(self._store, self._claim, curve)
            mine = losses(curve)
            if not mine or self._rule == 'none':
                return None
            return pruning.verdict(mine, self._rivals.curves(), self._epochs, self._rule)
        except _errors.PyMongoError as error:
            self._not_before = time.monotonic() + AWAY
            logger.warning('epoch %d of trial %s could not be reported yet: %s',
                           curve[-1]['epoch'], self._claim.tid, type(error).__name__)
            return None


class Rivals:
    """The curves of the finished trials of an experiment, each fetched once.

    Args:
        store (Store): the database.
        exp_key (str): the experiment.
    """

    def __init__(self, store: Store, exp_key: str):
        self._store = store
        self._query = {'exp_key': exp_key, 'state': {'$in': [DONE, ERROR]}}
        self._known = {}  # tid -> losses
        self._first_unknown = 0

    def curves(self) -> list[list[float]]:
        query = {**self._query, 'tid': {'$gte': self._first_unknown}}
        for trial in self._store.jobs.find(query, projection=['tid', 'curve', 'state']):
            if trial['tid'] not in self._known:
                self._known[trial['tid']] = (losses(trial.get('curve'))
                                             if trial['state'] == DONE else [])
        while self._first_unknown in self._known:
            self._first_unknown += 1
        return [curve for curve in self._known.values() if curve]


def losses(curve: Any) -> list[float]:
    """The losses of a curve that has every epoch from the first; of anything else, []."""
    if not isinstance(curve, list) or not all(isinstance(entry, dict) for entry in curve):
        return []
    if [entry.get('epoch') for entry in curve] != list(range(1, len(curve) + 1)):
        return []
    found = [math.inf if entry.get('loss') is None else entry['loss'] for entry in curve]
    return found if all(isinstance(loss, (int, float)) for loss in found) else []


def finite(value: Any) -> Any:
    """The value, or None in the place of a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
