"""Signs of life for the trial that is being evaluated."""
import logging
import threading
import time

from chainer_kfac.compat import require
from chainer_kfac.search import lease
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.search.store import Store

logger = logging.getLogger(__name__)

_errors = require('pymongo.errors', 'the search')


class Heartbeat:
    """A thread that beats for a claim, and watches the worker's deadline.

    A database that is away is waited for: the trial goes on, and its result will be kept. When the
    trial turns out to be another worker's, the evaluation is ended.

    Args:
        store (Store): the database.
        claim (Claim): the trial.
        every (float): seconds between two beats.
        stopping (Stopping): told when to end.
    """

    def __init__(self, store: Store, claim: lease.Claim, every: float, stopping: Stopping):
        self._store = store
        self._claim = claim
        self._every = every
        self._stopping = stopping
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name='heartbeat', daemon=True)

    def __enter__(self) -> 'Heartbeat':
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        self._thread.join()

    def _run(self):
        deadline = self._stopping.deadline
        next_beat = time.monotonic() + self._every
        held = True
        while True:
            wake = min(next_beat, deadline or next_beat)
            if self._over.wait(max(0.0, wake - time.monotonic())):
                return
            if deadline is not None and time.monotonic() >= deadline:
                self._stopping.end_worker('time limit')
                deadline = None
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + self._every
                held = held and self._beat()
                self._stopping.remind()

    def _beat(self):
        try:
            held = lease.beat(self._store, self._claim)
        except _errors.PyMongoError as error:
            logger.warning('no sign of life for trial %s got through: %s', self._claim.tid,
                           type(error).__name__)
            return True
        if not held and not self._over.is_set():
            self._stopping.end_trial('lease lost')
        return held
