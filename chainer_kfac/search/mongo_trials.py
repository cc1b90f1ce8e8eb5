"""hyperopt's ``MongoTrials`` on PyMongo 4, for programs that call hyperopt's own ``fmin``.

    trials = MongoTrials('mongodb://127.0.0.1:27017/mine', exp_key='exp1', allow_pickled_code=True)
    fmin(fn, space, algo=tpe.suggest, max_evals=100, trials=trials)

and ``chainer-kfac worker --mongo mongodb://... --allow-pickled-code`` beside it. hyperopt 0.3.0
calls methods that PyMongo 4 removed; the subclasses here override those methods, under the names
that hyperopt gives them, and nothing else. ``fmin`` stores the function pickled, and whoever
unpickles it runs it, so both sides must say that they want that. ``chainer-kfac search`` and its
workers use none of this.
"""
import copy
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search import address
from chainer_kfac.search.documents import NEW, RUNNING
from chainer_kfac.search.errors import SearchError
from chainer_kfac.search.store import Store

_mongoexp = require('hyperopt.mongoexp', 'the search')
_gridfs = require('gridfs', 'the search')
_pymongo = require('pymongo', 'the search')


class MongoJobs(_mongoexp.MongoJobs):
    """hyperopt's ``MongoJobs`` with the methods that PyMongo 4 broke."""

    @classmethod
    def of(cls, store: Store) -> 'MongoJobs':
        """The jobs of a database."""
        return cls(store.database, store.jobs, _gridfs.GridFS(store.database), store.client, None,
                   'spec')

    @classmethod
    def new_from_connection_str(cls, conn_str: str, gfs_coll: str = 'fs',
                                config_name: str = 'spec') -> 'MongoJobs':
        """As hyperopt's, for an address that PyMongo reads: TLS, authSource and SRV work."""
        return cls.of(Store.open(address.find(conn_str)))

    def __len__(self):
        return self.jobs.count_documents({})

    def create_jobs_indexes(self):
        self.jobs.create_index([('exp_key', 1), ('tid', 1)], unique=True)
        self.jobs.create_index([('exp_key', 1), ('state', 1), ('tid', 1)])

    def insert(self, job):
        job = copy.deepcopy(job)
        self.jobs.insert_one(job)
        return job

    def delete(self, job):
        self.delete_all({'_id': job['_id']})

    def delete_all(self, cond=None):
        for job in list(self.jobs.find(cond or {}, projection=['_attachments'])):
            for _, file_id in job.get('_attachments', []):
                self.gfs.delete(file_id)
            self.jobs.delete_one({'_id': job['_id']})

    def reserve(self, host_id, cond=None, exp_key=None):
        query = {**(cond or {}), 'owner': None, 'state': NEW}
        if exp_key is not None:
            query['exp_key'] = exp_key
        return self.jobs.find_one_and_update(
            query, {'$set': {'owner': list(host_id), 'state': RUNNING}, '$inc': {'version': 1},
                    '$currentDate': {'book_time': True, 'refresh_time': True}},
            sort=[('tid', 1)], return_document=_pymongo.ReturnDocument.AFTER)

    def update(self, doc, dct, collection=None, do_sanity_checks=True):
        """As hyperopt's; a document that has changed in the meantime is an error at once."""
        change = copy.deepcopy(dct)
        if change.pop('_id', doc['_id']) != doc['_id']:
            raise ValueError('cannot update the _id field')
        query = {'_id': doc['_id']}
        if 'version' in doc:
            query['version'] = doc['version']
        change['version'] = doc.get('version', 0) + 1
        collection = self.collection if collection is None else collection
        if not collection.update_one(query, {'$set': change}).matched_count:
            raise _mongoexp.OperationFailure('trial {} has changed in the database'.format(
                doc.get('tid')))
        doc.update(change)
        return doc


class MongoTrials(_mongoexp.MongoTrials):
    """hyperopt's ``MongoTrials`` with the methods that PyMongo 4 broke.

    Args:
        arg (str or MongoJobs): address of the database, without a password (that is taken from
            the environment), or the jobs in it.
        exp_key (str): name of the experiment; other experiments are neither seen nor touched.
        allow_pickled_code (bool): store and load pickled functions, as ``fmin`` does.
    Raises:
        SearchError: if ``exp_key`` is None.
    """

    def __init__(self, arg, exp_key=None, cmd=None, workdir=None, refresh=True,
                 allow_pickled_code: bool = False):
        if exp_key is None:
            raise SearchError('MongoTrials needs an exp_key: without one it would see and delete '
                              'the trials of every experiment in the database')
        self._allow_pickled_code = allow_pickled_code
        if isinstance(arg, str):
            arg = MongoJobs.new_from_connection_str(arg)
        super().__init__(arg, exp_key, cmd, workdir, refresh)

    def view(self, exp_key=None, cmd=None, workdir=None, refresh=True):
        return type(self)(self.handle, exp_key or self._exp_key, cmd or self.cmd,
                          workdir or self.workdir, refresh, self._allow_pickled_code)

    def _insert_trial_docs(self, docs):
        return [self.handle.insert(doc)['_id'] for doc in docs]

    def count_by_state_unsynced(self, arg):
        states = [arg] if isinstance(arg, int) else list(arg)
        query = {'state': {'$in': states}, 'exp_key': self._exp_key}
        return self.handle.jobs.count_documents(query)

    def delete_all(self, cond=None):
        self.handle.delete_all({**(cond or {}), 'exp_key': self._exp_key})
        for name in list(self.attachments):
            del self.attachments[name]
        self.refresh()

    def new_trial_ids(self, n):
        counter = self.handle.db.job_ids.find_one_and_update(
            {'a': 0}, {'$inc': {'last_id': n}}, upsert=True,
            return_document=_pymongo.ReturnDocument.AFTER)
        return list(range(counter['last_id'] - n, counter['last_id']))

    @property
    def attachments(self) -> 'Attachments':
        """What is stored with the experiment: ``fmin``'s pickled function."""
        return Attachments(self.handle.gfs, self._exp_key, self._allow_pickled_code)


class Attachments:
    """Files of an experiment by name.

    The experiment is part of the file's name: the embedded server drops other fields of a file.
    """

    def __init__(self, gfs, exp_key: str, allowed: bool):
        self._gfs = gfs
        self._prefix = exp_key + '/'
        self._allowed = allowed

    def __iter__(self):
        return iter([name.removeprefix(self._prefix) for name in self._gfs.list()
                     if name.startswith(self._prefix)])

    def __contains__(self, name: str) -> bool:
        return self._gfs.exists(filename=self._prefix + name)

    def __getitem__(self, name: str) -> bytes:
        self._check('load')
        try:
            return self._gfs.get_last_version(filename=self._prefix + name).read()
        except _gridfs.NoFile:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any):
        """The new file is there before the old one goes: a worker never finds none."""
        self._check('store')
        old = [each._id for each in self._gfs.find({'filename': self._prefix + name})]
        self._gfs.put(value, filename=self._prefix + name)
        for each in old:
            self._gfs.delete(each)

    def __delitem__(self, name: str):
        for each in list(self._gfs.find({'filename': self._prefix + name})):
            self._gfs.delete(each._id)

    def _check(self, what):
        if not self._allowed:
            raise SearchError(
                'fmin would {} pickled code in the database, which runs on every machine that '
                'unpickles it: use chainer-kfac search, or say allow_pickled_code=True to '
                'MongoTrials here and --allow-pickled-code to the workers'.format(what))
