"""hyperopt's own ``fmin`` over our ``MongoTrials``: by consent of both sides only."""
import pickle
import subprocess
import sys
import textwrap
import time

import pytest
from hyperopt import fmin, hp, mongoexp, tpe

from chainer_kfac.search import pickled
from chainer_kfac.search.errors import SearchError
from chainer_kfac.search.mongo_trials import MongoJobs, MongoTrials
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.search.worker import Worker

pytestmark = pytest.mark.mongo


@pytest.fixture
def jobs(store):
    return MongoJobs.of(store)


@pytest.fixture
def trials(jobs):
    return MongoTrials(jobs, 'e', allow_pickled_code=True)


def document(tid, exp_key='e', state=0):
    return {'tid': tid, 'exp_key': exp_key, 'state': state, 'spec': None, 'owner': None,
            'result': {'status': 'new'}, 'version': 0, 'book_time': None, 'refresh_time': None,
            'misc': {'tid': tid, 'cmd': None, 'idxs': {'x': [tid]}, 'vals': {'x': [0.5]}}}


PROGRAM = textwrap.dedent('''
    import sys
    from hyperopt import fmin, hp, tpe
    from chainer_kfac.search.mongo_trials import MongoTrials
    import numpy as np

    def square(x):
        return {'loss': (x - 1) ** 2, 'status': 'ok', 'attachments': {'note': b'n'}}

    trials = MongoTrials(sys.argv[1], exp_key='documented', allow_pickled_code=True)
    best = fmin(square, hp.uniform('x', -2, 2), algo=tpe.suggest, max_evals=4, trials=trials,
                max_queue_len=2, rstate=np.random.default_rng(0), show_progressbar=False)
    assert len(trials) == 4
    assert trials.trial_attachments(trials.trials[0])['note'] == b'n'
    print(best['x'])
''')


def test_the_documented_call(nx, nx_store, start_worker):
    worker = start_worker(nx.uri, '--exp-key', 'documented', '--allow-pickled-code',
                          '--max-trials', 4)
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', PROGRAM, nx.uri], timeout=120,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + worker.log.read_text()
    assert -2 <= float(done.stdout.split()[-1]) <= 2
    assert worker.wait(60) == 0


def test_refused_without_consent_here(jobs):
    trials = MongoTrials(jobs, 'e')
    with pytest.raises(SearchError, match='pickled code.*allow_pickled_code=True'):
        fmin(abs, hp.uniform('x', -2, 2), algo=tpe.suggest, max_evals=1, trials=trials,
             show_progressbar=False)
    assert list(trials.attachments) == []


def test_not_even_looked_at_without_consent_of_the_worker(nx_store, tmp_path):
    trials = MongoTrials(MongoJobs.of(nx_store), 'e', allow_pickled_code=True)
    trials.attachments['FMinIter_Domain'] = pickle.dumps(sys.exit)
    cmd = ('domain_attachment', 'FMinIter_Domain')
    trials.insert_trial_docs([{**document(0), 'misc': {**document(0)['misc'], 'cmd': cmd}}])
    worker = Worker(nx_store, tmp_path, 'e', stopping=Stopping(time.monotonic() + 1))
    worker.run()
    assert nx_store.workers.find_one()['state'] == 'gone'
    assert nx_store.jobs.find_one()['state'] == 0


def test_a_worker_always_finds_the_function_while_it_is_replaced(trials, monkeypatch):
    trials.attachments['FMinIter_Domain'] = b'old'
    delete, found = type(trials.handle.gfs).delete, []

    def watched(gfs, file_id):
        found.append(trials.attachments['FMinIter_Domain'])
        delete(gfs, file_id)

    monkeypatch.setattr(type(trials.handle.gfs), 'delete', watched)
    trials.attachments['FMinIter_Domain'] = b'new'
    assert found == [b'new']
    assert trials.attachments['FMinIter_Domain'] == b'new'


def test_exp_key_is_required(jobs):
    with pytest.raises(SearchError, match='exp_key'):
        MongoTrials(jobs)


def test_methods_that_pymongo_removed(jobs, trials):
    trials.insert_trial_docs([document(0), document(1)])
    assert len(jobs) == 2
    assert trials.count_by_state_unsynced(0) == 2
    assert trials.count_by_state_unsynced([1, 2]) == 0
    first = jobs.reserve(('host', 1), exp_key='e')
    assert (first['tid'], first['owner'], first['state']) == (0, ['host', 1], 1)
    jobs.update(first, {'result': {'status': 'ok', 'loss': 1.0}, 'state': 2})
    trials.refresh()
    assert trials.losses() == [1.0, None]
    stale = {**first, 'version': 0}
    with pytest.raises(mongoexp.OperationFailure):
        jobs.update(stale, {'state': 3})
    jobs.set_attachment(first, b'blob', 'a')
    assert jobs.get_attachment(first, 'a') == b'blob'
    jobs.delete(first)
    assert len(jobs) == 1


def test_ids_are_handed_out_once(trials):
    ids = trials.new_trial_ids(3) + trials.new_trial_ids(1) + trials.new_trial_ids(2)
    assert ids == list(range(6))


def test_experiments_do_not_see_each_other(jobs, trials):
    other = MongoTrials(jobs, 'f', allow_pickled_code=True)
    trials.insert_trial_docs([document(0)])
    other.insert_trial_docs([document(0, 'f')])
    for each in (trials, other):
        each.attachments['x'] = each._exp_key.encode()
        each.attachments['x'] = each._exp_key.encode()
    trials.refresh()
    assert len(trials) == 1
    assert list(trials.attachments) == ['x']
    trials.delete_all()
    other.refresh()
    assert (len(trials), len(other)) == (0, 1)
    assert 'x' not in trials.attachments
    assert other.attachments['x'] == b'f'
    assert len(other.view()) == 1
    with pytest.raises(KeyError):
        trials.attachments['x']


def test_a_worker_for_pickled_code_leaves_in_time(nx_store):
    pickled.work(nx_store, 'e', None, Stopping(time.monotonic() + 1))


def test_a_worker_for_pickled_code_goes_on_when_it_has_lost_a_trial(nx_store, monkeypatch):
    trials = MongoTrials(MongoJobs.of(nx_store), 'e', allow_pickled_code=True)
    cmd = ('domain_attachment', 'FMinIter_Domain')
    trials.insert_trial_docs([{**each, 'misc': {**each['misc'], 'cmd': cmd}}
                              for each in (document(0), document(1))])
    stopping = Stopping(time.monotonic() + 30)
    seen = []

    def evaluate(store, trial):
        seen.append(trial['tid'])
        if len(seen) == 1:
            stopping.end_trial('its lease is lost')
        return {'status': 'ok', 'loss': 1.0}

    monkeypatch.setattr(pickled, '_evaluate', evaluate)
    with stopping.listening():
        pickled.work(nx_store, 'e', 3, stopping)
    assert len(seen) == 3
    assert [each['state'] for each in nx_store.jobs.find({})] == [2, 2]
