"""Who holds a trial: reserve, beat, report, finish, release, and take back from the dead.

Each reservation raises the trial's ``attempt``, which is its fencing token: every later write
names worker and attempt, and one that no longer matches changes nothing. What the embedded server
does not do reliably is left out: queries on dates, pushing to lists, errors of findAndModify.
"""
import dataclasses
import datetime
import time
from collections.abc import Mapping
from typing import Any

from chainer_kfac.search.documents import DONE, ERROR, NEW, REGISTERED, RUNNING
from chainer_kfac.search.store import Store

BEATS = 6
"""Signs of life in one lease."""

_RACES = 20
"""How many lost races for a trial a worker runs before it pauses."""
_STAMP = {'$currentDate': {'refresh_time': True}}


@dataclasses.dataclass(frozen=True)
class Claim:
    """One worker's hold on one trial.

    Attributes:
        id: the trial's ``_id``.
        exp_key, tid: the trial's name.
        owner (str): the worker.
        attempt (int): the fencing token.
    """

    id: Any
    exp_key: str
    tid: int
    owner: str
    attempt: int

    @classmethod
    def of(cls, trial: Mapping[str, Any]) -> 'Claim':
        return cls(trial['_id'], trial.get('exp_key'), trial.get('tid'), trial['owner'],
                   trial['attempt'])

    @property
    def held(self) -> dict[str, Any]:
        """Query that finds the trial only while this claim holds."""
        return {'_id': self.id, 'state': RUNNING, 'owner': self.owner, 'attempt': self.attempt}


def reserve(store: Store, owner: str, exp_key: str | None = None,
            pickled: bool = False) -> dict[str, Any] | None:
    """Take the oldest waiting trial.

    Args:
        store (Store): the database.
        owner (str): unique name of the worker.
        exp_key (str or None): only trials of that experiment.
        pickled (bool): take trials of hyperopt's ``fmin`` instead, which carry code.
    Returns:
        dict or None: the trial as it is now, with the curve of an earlier attempt.
    """
    query = {**_mine(exp_key, pickled), 'state': NEW}
    for _ in range(_RACES):
        trial = store.jobs.find_one(query, sort=[('tid', 1)])
        if trial is None:
            return None
        counters = {key: trial.get(key, 0) for key in ('attempt', 'version')}
        if not all(type(value) is int for value in counters.values()):
            _quarantine(store, trial, counters)
            continue
        taken = store.jobs.update_one(
            {'_id': trial['_id'], 'state': NEW},
            {'$set': {'state': RUNNING, 'owner': owner, 'beats': 0,
                      **{key: value + 1 for key, value in counters.items()}},
             '$currentDate': {'book_time': True, 'refresh_time': True}})
        if taken.matched_count:
            return store.jobs.find_one({'_id': trial['_id'], 'owner': owner})
    return None


def recover(store: Store, owner: str, exp_key: str | None = None,
            pickled: bool = False) -> dict[str, Any] | None:
    """The trial that this worker holds without knowing: the answer to `reserve` was lost.

    A worker holds one trial at a time, and calls this before it reserves another.
    """
    return store.jobs.find_one({**_mine(exp_key, pickled), 'state': RUNNING, 'owner': owner})


def beat(store: Store, claim: Claim) -> bool:
    """A sign of life; False if the claim no longer holds."""
    return bool(store.jobs.update_one(claim.held, {**_STAMP, '$inc': {'beats': 1}}).matched_count)


def report(store: Store, claim: Claim, curve: list[dict[str, Any]]) -> bool:
    """Store the curve so far, which is a sign of life too; False if the claim no longer holds."""
    return bool(store.jobs.update_one(
        claim.held, {**_STAMP, '$set': {'curve': curve, 'last': curve[-1]},
                     '$inc': {'beats': 1, 'version': 1}}).matched_count)


def finish(store: Store, claim: Claim, state: int, result: Mapping[str, Any],
           curve: list[dict[str, Any]]) -> str:
    """Store the end of a trial, once.

    A result may be late: while this worker was cut off, its trial went back to the queue. It still
    counts if nobody has taken the trial since and it has not failed for too many setbacks.
    Otherwise it is kept in ``duplicates``.

    Returns:
        str: 'stored', also when an earlier call with this claim stored it and the answer was lost;
            'duplicate'; or 'gone' when the trial has been deleted.
    """
    change = {'$set': {'state': state, 'result': dict(result), 'curve': curve,
                       'last': curve[-1] if curve else None, 'owner': claim.owner},
              '$inc': {'version': 1, 'deliveries': 1},
              '$currentDate': {'refresh_time': True, 'end_time': True}}
    waiting = {'_id': claim.id, 'state': NEW, 'attempt': claim.attempt}
    for query in (claim.held, waiting):
        if store.jobs.update_one(query, change).matched_count:
            return 'stored'
    trial = store.jobs.find_one({'_id': claim.id}, projection=['state', 'owner', 'attempt'])
    if trial is None:
        return 'gone'
    if trial['state'] in (DONE, ERROR) and (trial['owner'], trial['attempt']) == (
            claim.owner, claim.attempt):
        return 'stored'
    keep = {'exp_key': claim.exp_key, 'tid': claim.tid, 'owner': claim.owner,
            'attempt': claim.attempt, 'state': state, 'result': dict(result), 'curve': curve}
    key = '{}:{}:{}'.format(claim.id, claim.attempt, claim.owner)
    store.duplicates.update_one({'_id': key}, {'$set': keep}, upsert=True)
    return 'duplicate'


def release(store: Store, claim: Claim, reason: str, history: list[dict[str, Any]],
            setbacks: int | None = None) -> bool:
    """Give a trial back to the queue.

    Args:
        store (Store): the database.
        claim (Claim): the hold that ends.
        reason (str): for the trial's history.
        history (list of dict): the trial's, up to now.
        setbacks (int or None): the new count of attempts that the trial's worker could not
            finish; None leaves it, when the trial is not to blame.
    Returns:
        bool: False if the claim no longer holds.
    """
    trial = store.jobs.find_one(claim.held, projection=['book_time'])
    if trial is None:
        return False
    entry = _past(claim.attempt, claim.owner, trial.get('book_time'), store.now(), reason)
    change = {'state': NEW, 'owner': None, 'history': [*history, entry]}
    if setbacks is not None:
        change['setbacks'] = setbacks
    return bool(store.jobs.update_one(claim.held, {'$set': change, '$inc': {'version': 1}})
                .matched_count)


class Sweeper:
    """Takes trials back from workers that have fallen silent. Drivers and idle workers have one.

    After the database was away, living workers look silent too until they have reconnected, so
    nothing is taken back until it has been there for two beats.

    Args:
        store (Store): the database.
    """

    def __init__(self, store: Store):
        self._store = store
        self._connected_since = time.monotonic()

    def connection_lost(self) -> None:
        """To be called when the database did not answer."""
        self._connected_since = time.monotonic()

    def sweep(self, exp_key: str, lease: float, most: int) -> int:
        """Take back the trials of an experiment that are silent for longer than the lease.

        Args:
            exp_key (str): the experiment.
            lease (float): seconds.
            most (int): after that many setbacks a trial fails instead, with its history.
        Returns:
            int: how many trials were taken from their worker.
        """
        if time.monotonic() - self._connected_since < 2 * lease / BEATS:
            return 0
        held = list(self._store.jobs.find({'exp_key': exp_key, 'state': RUNNING},
                                          projection={'curve': False}))
        now = self._store.now() if held else None
        silent = [trial for trial in held if _silence(trial, now) > lease]
        return sum(self._take(trial, most) for trial in silent)

    def _take(self, trial, most):
        setbacks, history = trial.get('setbacks', 0), trial.get('history', [])
        setbacks = setbacks + 1 if type(setbacks) is int else most + 1
        history = history if isinstance(history, list) else []
        entry = _past(trial.get('attempt', 0), trial.get('owner'), trial.get('book_time'),
                      trial.get('refresh_time'), 'silent')
        change = {'$set': {'setbacks': setbacks, 'history': [*history, entry]},
                  '$inc': {'version': 1}}
        if setbacks > most:
            # without an owner: a result that comes after all is a duplicate, and not this one
            change['$set'].update(state=ERROR, owner=None, result=failure(
                'lost', 'its worker fell silent {} times'.format(setbacks)))
            change['$currentDate'] = {'end_time': True}
        else:
            change['$set'].update(state=NEW, owner=None)
        # beats: a worker that speaks up between our reading and this write keeps its trial
        same = {key: trial.get(key) for key in ('_id', 'state', 'attempt', 'beats')}
        return self._store.jobs.update_one(same, change).matched_count


def _mine(exp_key, pickled):
    """Query for the trials that a worker may take."""
    query = {'misc.cmd': 'domain_attachment'} if pickled else {'kind': REGISTERED}
    if exp_key is not None:
        query['exp_key'] = exp_key
    return query


def _quarantine(store, trial, counters):
    """Fail a waiting trial whose counters are no numbers, so that it does not shut the queue."""
    refused = failure('refused', 'its counters must be whole numbers, got {:.200}'.format(
        repr(counters)))
    store.jobs.update_one({'_id': trial['_id'], 'state': NEW}, {'$set': {
        'state': ERROR, 'result': refused, 'history': [], **dict.fromkeys(counters, 0)}})


def failure(reason: str, message: str) -> dict[str, Any]:
    """The ``result`` of a trial without a loss: TPE counts it as infinitely bad."""
    return {'status': 'fail', 'reason': reason, 'message': message[:500]}


def _silence(trial, now):
    heard = trial.get('refresh_time') or trial.get('book_time')
    if not isinstance(heard, datetime.datetime):
        return float('inf')
    return (now - heard).total_seconds()


def _past(attempt, owner, start, end, reason):
    """One entry of a trial's history; the times are the server's."""
    return {'attempt': attempt, 'owner': owner, 'start': start, 'end': end, 'reason': reason}
