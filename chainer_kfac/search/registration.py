"""A worker's entry in the database: the driver counts the idle ones, the report shows them all."""
import contextlib
import os
import socket
import time

import chainer_kfac
from chainer_kfac.compat import require
from chainer_kfac.search.lease import Claim
from chainer_kfac.search.store import Store

_errors = require('pymongo.errors', 'the search')

EVERY = 30.0
"""Seconds between two signs of life of an idle worker."""


class Registration:
    """Args:
        store (Store): the database.
        name (str): the worker's.
        exp_key (str or None): whose trials it takes.
    """

    def __init__(self, store: Store, name: str, exp_key: str | None):
        self._store = store
        self._name = name
        self._about = {'exp_key': exp_key, 'host': socket.gethostname(), 'pid': os.getpid(),
                       'version': chainer_kfac.__version__}
        self._state = None
        self._written = 0.0

    def idle(self) -> None:
        """Ready for a trial."""
        if self._state != 'idle' or time.monotonic() - self._written > EVERY:
            self._write('idle', {})

    def busy(self, claim: Claim) -> None:
        """Evaluating a trial; the trial's own beats are the signs of life now."""
        self._write('busy', {'tid': claim.tid, 'trial_exp_key': claim.exp_key})

    def leave(self) -> None:
        """Gone for good; not worth waiting for a database that is away."""
        with contextlib.suppress(_errors.PyMongoError):
            self._write('gone', {})

    def _write(self, state, more):
        change = {'$set': {'state': state, **self._about, **more},
                  '$currentDate': {'refresh_time': True}}
        if self._state is None:
            change['$currentDate']['started'] = True
        self._store.workers.update_one({'_id': self._name}, change, upsert=True)
        self._state, self._written = state, time.monotonic()
