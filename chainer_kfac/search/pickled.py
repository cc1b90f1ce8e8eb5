"""A worker for hyperopt's own ``fmin``, which stores its function pickled in the database.

Unpickling runs whatever somebody has put there, so nothing else imports this module, and
``chainer-kfac worker`` does so only when told by ``--allow-pickled-code``.
"""
import logging
import os
import pickle
import socket
import time
import uuid

from chainer_kfac.compat import require
from chainer_kfac.search import lease, options
from chainer_kfac.search.connection import lasting
from chainer_kfac.search.documents import DONE, ERROR
from chainer_kfac.search.evaluation import has_loss
from chainer_kfac.search.heartbeat import Heartbeat
from chainer_kfac.search.mongo_trials import MongoJobs, MongoTrials
from chainer_kfac.search.stopping import Stopped, Stopping
from chainer_kfac.search.store import Store

logger = logging.getLogger(__name__)

_mongoexp = require('hyperopt.mongoexp', 'the search')
_base = require('hyperopt.base', 'the search')

PAUSE = 1.0


def work(store: Store, exp_key: str, max_trials: int | None, stopping: Stopping) -> None:
    """Evaluate the trials of ``fmin`` until told to stop.

    Args:
        store (Store): the database.
        exp_key (str): name of the experiment, as given to ``MongoTrials``.
        max_trials (int or None): how many to take.
        stopping (Stopping): deadline and signals.
    """
    owner = '{}:{}:{}'.format(socket.gethostname(), os.getpid(), uuid.uuid4().hex[:8])
    sweeper = lease.Sweeper(store)
    done = 0

    def insist(operation):
        return lasting(operation, store.address, pause=stopping.pause)

    try:
        while (max_trials is None or done < max_trials) and not _is_late(stopping):
            trial = insist(lambda: lease.reserve(store, owner, exp_key, pickled=True))
            if trial is None:
                insist(lambda: sweeper.sweep(exp_key, options.LEASE, options.SETBACKS))
                stopping.pause(PAUSE)
            else:
                _work(store, trial, stopping, insist)
                done += 1
    except Stopped:
        pass


def _is_late(stopping):
    return stopping.deadline is not None and time.monotonic() > stopping.deadline


def _work(store, trial, stopping, insist):
    claim = lease.Claim.of(trial)
    try:
        with Heartbeat(store, claim, options.LEASE / lease.BEATS, stopping), \
                stopping.interruptible():
            state, result = DONE, _evaluate(store, trial)
    except Stopped:
        lease.release(store, claim, stopping.reason or 'stopped', trial.get('history', []))
        if stopping.reason is not None:
            raise
        stopping.trial_reason = None  # the trial went to another worker; this one goes on
        return
    except Exception as error:  # the function is the user's: whatever it raises fails the trial
        logger.exception('trial %s', claim.tid)
        state, result = ERROR, lease.failure('error', '{}: {}'.format(type(error).__name__, error))
    insist(lambda: lease.finish(store, claim, state, result, []))


def _evaluate(store, trial):
    trials = MongoTrials(MongoJobs.of(store), trial['exp_key'], refresh=False,
                         allow_pickled_code=True)
    ctrl = _mongoexp.MongoCtrl(trials, trial, read_only=False)
    domain = pickle.loads(trials.attachments[trial['misc']['cmd'][1]])
    result = _base.SONify(domain.evaluate(_base.spec_from_misc(trial['misc']), ctrl))
    for name, blob in result.pop('attachments', {}).items():
        ctrl.attachments[name] = blob
    if result.get('status') == 'ok' and not has_loss(result):
        return lease.failure('diverged', 'its loss is {!r:.60}'.format(result.get('loss')))
    return result
