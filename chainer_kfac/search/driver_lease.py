"""One driver for one experiment."""
import contextlib
import os
import socket
import time
import uuid

from chainer_kfac.compat import require
from chainer_kfac.search.errors import SearchError
from chainer_kfac.search.store import Store

_errors = require('pymongo.errors', 'the search')

SECONDS = 30.0
"""A driver that is silent for longer may be replaced."""


class DriverLease:
    """The right to propose trials for an experiment.

    Two drivers would not harm each other's trials, whose numbers are unique, but each would count
    the other's trials as its own; so the second one is refused. The successor of a driver that
    was killed takes over at once on the same host, elsewhere when the lease has run out.

    Args:
        store (Store): the database.
        exp_key (str): the experiment.
    """

    def __init__(self, store: Store, exp_key: str):
        self._store = store
        self._exp_key = exp_key
        self._owner = '{}:{}:{}'.format(socket.gethostname(), os.getpid(), uuid.uuid4().hex[:8])
        self._renewed = 0.0

    def acquire(self) -> None:
        """Take the lease; raises SearchError while another driver holds it."""
        with contextlib.suppress(_errors.DuplicateKeyError):
            self._store.drivers.insert_one({'exp_key': self._exp_key, 'owner': None, 'term': 0})
        held = self._store.drivers.find_one({'exp_key': self._exp_key})
        silence = self._silence(held)
        if (held['owner'] not in (None, self._owner)  # its own where an answer was lost
                and silence <= SECONDS and not _is_dead(held['owner'])):
            raise SearchError(
                'experiment {} has a driver already: {}, heard {:.0f} s ago; end it, or wait '
                '{:.0f} s if it is dead; more workers may join at any time'.format(
                    self._exp_key, held['owner'], silence, SECONDS - silence))
        taken = self._store.drivers.update_one(
            {'exp_key': self._exp_key, 'owner': held['owner'], 'term': held['term']},
            {'$set': {'owner': self._owner}, '$inc': {'term': 1},
             '$currentDate': {'refresh_time': True}})
        if not taken.matched_count:
            raise SearchError('another driver has just taken experiment {}: leave it to that one'
                              .format(self._exp_key))
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """To be called often; raises SearchError if the lease went to another driver."""
        if time.monotonic() - self._renewed < SECONDS / 6:
            return
        if not self._store.drivers.update_one(
                {'exp_key': self._exp_key, 'owner': self._owner},
                {'$currentDate': {'refresh_time': True}}).matched_count:
            raise SearchError('experiment {} was deleted or went to another driver while this one '
                              'was silent'.format(self._exp_key))
        self._renewed = time.monotonic()

    def release(self) -> None:
        """Let a successor in at once."""
        self._store.drivers.update_one({'exp_key': self._exp_key, 'owner': self._owner},
                                       {'$set': {'owner': None}})

    def _silence(self, held):
        heard = held.get('refresh_time')
        return float('inf') if heard is None else (self._store.now() - heard).total_seconds()


def _is_dead(owner):
    """Whether a driver ran on this host and does not any more."""
    host, pid = owner.split(':')[:2]
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
