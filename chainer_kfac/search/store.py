"""The collections of a search."""
import contextlib
import datetime
import uuid

from chainer_kfac.compat import require
from chainer_kfac.search.address import Address
from chainer_kfac.search.connection import connect

_errors = require('pymongo.errors', 'the search')


class Store:
    """One database and what the search keeps in it.

    Attributes:
        jobs: trials; hyperopt's name for them.
        experiments: one document for each ``exp_key``.
        drivers: one document for each experiment: who drives it.
        workers: one document for each worker process.
        duplicates: results that came from a worker whose trial had been given to another.

    Args:
        client (pymongo.MongoClient): from `connection.connect`.
        address (Address): where it leads.
    """

    def __init__(self, client, address: Address):
        self.client = client
        self.address = address
        self.database = client[address.database]
        self.jobs = self.database['jobs']
        self.experiments = self.database['experiments']
        self.drivers = self.database['drivers']
        self.workers = self.database['workers']
        self.duplicates = self.database['duplicates']
        self._clock = self.database['clock']

    @classmethod
    def open(cls, address: Address) -> 'Store':
        """Connect; raises ServerError."""
        return cls(connect(address), address)

    def close(self) -> None:
        self.client.close()

    def create_indexes(self) -> None:
        """The indexes that keep a trial unique and a reservation cheap. Only drivers need this."""
        self.jobs.create_index([('exp_key', 1), ('tid', 1)], unique=True)
        self.jobs.create_index([('exp_key', 1), ('state', 1), ('tid', 1)])
        self.jobs.create_index([('state', 1), ('tid', 1)])
        self.drivers.create_index('exp_key', unique=True)
        self.workers.create_index('state')
        self.duplicates.create_index('exp_key')

    def identity(self) -> str:
        """A word that this database alone has, by whatever address it is reached."""
        with contextlib.suppress(_errors.DuplicateKeyError):
            self._clock.insert_one({'_id': 'identity', 'word': uuid.uuid4().hex})
        return self._clock.find_one({'_id': 'identity'})['word']

    def now(self) -> datetime.datetime:
        """The server's time, UTC, by the very stamp that it puts on trials.

        No other clock is used: those of workers differ by more than a lease.
        """
        self._clock.update_one({'_id': 'clock'}, {'$currentDate': {'now': True}}, upsert=True)
        return self._clock.find_one({'_id': 'clock'})['now']
