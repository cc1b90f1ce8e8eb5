"""The driver, its lease, its workers and the server that starts by itself."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search import (
    driver_lease,
    experiments,
    lease,
    objectives,
    options,
    results,
    session,
    space,
)
from chainer_kfac.search.driver import Driver
from chainer_kfac.search.errors import SearchError, ServerError
from chainer_kfac.search.found import Found
from chainer_kfac.search.local_workers import LocalWorkers
from chainer_kfac.search.observed import Observed
from chainer_kfac.search.server import EmbeddedServer
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.search.store import Store
from chainer_kfac.search.worker import Worker

pytestmark = pytest.mark.mongo


def nobody(store):
    return LocalWorkers(0, store.address, '.', 'test')


@pytest.fixture
def helper(nx_store, tmp_path):
    """A worker in a thread of this process, which leaves after so many trials."""
    threads = []

    def start(trials):
        store = Store.open(nx_store.address)
        worker = Worker(store, tmp_path, 'test', trials, Stopping())
        threads.append(threading.Thread(target=worker.run, daemon=True))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(30)


def test_a_search_from_the_first_trial_to_the_last(nx_store, begin, helper):
    experiment = begin(nx_store, trials=8, startup=4)
    shown = []
    helper(8)
    Driver(nx_store, experiment, nobody(nx_store), ({'x': 3.0, 'y': 2.0}, 'paper-bs128'),
           show=lambda observed, ended: shown.extend(ended)).run()
    found = Found.load(nx_store, 'test')
    assert [trial['tid'] for trial in found.trials] == list(range(8))
    assert [trial['origin'] for trial in found.trials] == ['paper-bs128'] + ['random'] * 3 + [
        'tpe'] * 4
    assert results.values(experiment, found.trials[0]) == {'x': 3.0, 'y': 2.0}
    assert sorted(trial['tid'] for trial in shown) == list(range(8))
    assert '8 of 8 trials ended (8 with a loss, 0 failed)' in found.status()[0]


def test_a_restarted_driver_goes_on_and_repeats_nothing(nx_store, begin, helper):
    helper(3)
    Driver(nx_store, begin(nx_store, trials=3), nobody(nx_store)).run()
    before = Found.load(nx_store, 'test').trials
    helper(3)
    experiment = begin(nx_store, trials=6)
    Driver(nx_store, experiment, nobody(nx_store)).run()
    after = Found.load(nx_store, 'test').trials
    assert after[:3] == before
    assert len({trial['misc']['vals']['x'][0] for trial in after}) == 6


def test_the_queue_is_one_longer_than_the_idle_workers(nx_store, begin):
    experiment = begin(nx_store, trials=50)
    for index, (exp_key, state) in enumerate([('test', 'idle'), (None, 'idle'), ('other', 'idle'),
                                              ('test', 'busy'), ('test', 'gone')]):
        nx_store.workers.update_one({'_id': 'w{}'.format(index)}, {
            '$set': {'state': state, 'exp_key': exp_key}, '$currentDate': {'refresh_time': True}},
            upsert=True)
    driver = Driver(nx_store, experiment, nobody(nx_store))
    driver._lease.acquire()
    observed = Observed(nx_store, experiment)
    driver._round(observed, 50)
    driver._round(observed, 50)
    assert (observed.waiting, len(observed)) == (3, 3)


def test_a_foreign_document_does_not_stop_the_driver(nx_store, begin, helper):
    experiment = begin(nx_store, trials=3)
    for tid, change in ((0, {'result': 'x'}), (1, {'misc': None}), ('x', {})):
        nx_store.jobs.insert_one({**experiment.new_trial(0, {'x': 1.0, 'y': 1.0}, 'x'),
                                  'tid': tid, 'state': 2, **change})
    helper(3)
    observed = Driver(nx_store, experiment, nobody(nx_store)).run()
    assert [trial['tid'] for trial in observed.trials] == [2, 3, 4]


def test_a_second_driver_is_refused_and_a_dead_one_replaced(nx_store, begin, monkeypatch):
    begin(nx_store)
    first, second = (driver_lease.DriverLease(nx_store, 'test') for _ in range(2))
    first.acquire()
    first.acquire()  # sent again, because the answer was lost
    with pytest.raises(SearchError, match='has a driver already'):
        second.acquire()
    first.release()
    second.acquire()
    first._renewed = 0
    with pytest.raises(SearchError, match='went to another driver'):
        first.renew()
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    nx_store.drivers.update_one({}, {'$set': {'owner': '{}:{}:x'.format(
        os.uname().nodename, dead.pid)}})
    first.acquire()  # the process is gone: no waiting
    nx_store.drivers.update_one({}, {'$set': {'owner': 'elsewhere:1:x'}})
    with pytest.raises(SearchError, match='wait'):
        first.acquire()
    monkeypatch.setattr(driver_lease, 'SECONDS', 0.0)
    time.sleep(0.01)
    first.acquire()


def test_another_search_of_the_same_name_is_refused(nx_store, begin):
    begin(nx_store, settings={'epochs': 2})
    begin(nx_store, settings={'epochs': 2}, trials=99, prune='none')  # options may differ
    for change, said in (({'settings': {'epochs': 3}}, 'epochs 2, not 3'),
                         ({'objective': 'cliff', 'settings': {'epochs': 2}}, 'objective branin')):
        with pytest.raises(SearchError, match=said):
            begin(nx_store, **change)


def test_only_the_driver_that_has_the_lease_changes_the_options(nx_store, begin, helper):
    def stored():
        return nx_store.experiments.find_one()['search']['trials']
    begin(nx_store, trials=2)
    running = driver_lease.DriverLease(nx_store, 'test')
    running.acquire()
    second = Driver(nx_store, begin(nx_store, trials=3), nobody(nx_store))
    with pytest.raises(SearchError, match='has a driver already'):
        second.run()
    assert stored() == 2
    running.release()
    helper(3)
    second.run()
    assert stored() == 3


@pytest.mark.parametrize(('optimizer', 'dimension', 'settings', 'said'), [
    ('kfac', ('dampning', 1e-4, 1.0), {}, 'unknown key dampning.*did you mean damping'),
    ('kfac', ('beta1', 0.5, 0.9), {}, 'beta1 belongs to adam and not to optimizer kfac'),
    ('kfac', ('momentum', 0.5, 1.0), {}, 'momentum must be .*got 1.0'),
    ('kfac', ('lr', 1e-3, 1.0), {'lr_decay_epoch': None, 'lr_decay': 0.5}, 'lr_decay')])
def test_a_space_of_which_no_worker_takes_a_point_is_refused(
        nx_store, optimizer, dimension, settings, said):
    name, low, high = dimension
    settings = {'optimizer': optimizer, 'batch_size': 64, 'epochs': 1, 'lr': 0.1, **settings}
    settings.pop(name, None)
    with pytest.raises(ConfigError, match=said):
        experiments.begin(nx_store, 'test', 'train', settings,
                          space.Space((space.Dimension(name, 'uniform', low, high),)),
                          options.search(trials=2))
    assert experiments.names(nx_store) == []


def test_a_point_that_no_worker_takes_ends_the_driver(nx_store, begin, monkeypatch):
    experiment = begin(nx_store)
    branin = type(objectives.find('branin'))
    monkeypatch.setattr(branin, 'check_values', lambda *args: (_ for _ in ()).throw(
        ConfigError('x is not allowed')))
    with pytest.raises(SearchError, match='x is not allowed'):
        Driver(nx_store, experiment, nobody(nx_store)).run()
    assert nx_store.jobs.count_documents({}) == 0


def test_an_experiment_that_cannot_be_read_can_be_deleted(nx_store, begin):
    begin(nx_store)
    nx_store.experiments.update_one({}, {'$set': {'search.seed': 1e15}})
    with pytest.raises(SearchError, match='seed must be a number'):
        experiments.load(nx_store, 'test')
    assert experiments.delete(nx_store, 'test') == 0
    assert experiments.names(nx_store) == []
    with pytest.raises(SearchError, match='there is no experiment test'):
        experiments.delete(nx_store, 'test')


def test_an_experiment_is_deleted_with_its_trials_unless_they_run(nx_store, begin, enqueue):
    enqueue(nx_store, begin(nx_store), 2)
    enqueue(nx_store, begin(nx_store, exp_key='other'), 1)
    claim = lease.Claim.of(lease.reserve(nx_store, 'w', 'test'))
    with pytest.raises(SearchError, match='has running trials'):
        experiments.delete(nx_store, 'test')
    lease.release(nx_store, claim, 'x', [])
    assert experiments.delete(nx_store, 'test') == 2
    assert experiments.names(nx_store) == ['other']
    assert [trial['exp_key'] for trial in nx_store.jobs.find()] == ['other']


@pytest.mark.parametrize(('key', 'value'), [
    ('trials', 0), ('gamma', 0.0), ('gamma', float('nan')), ('startup', 0), ('candidates', 0),
    ('lease', 1.0), ('setbacks', -1), ('seed', -1), ('prune', 'all'), ('algorithm', 'grid')])
def test_options_are_checked(key, value):
    from chainer_kfac.exceptions import ConfigError
    with pytest.raises(ConfigError, match='--' + key):
        options.search(**{'trials': 3, key: value})


def test_the_embedded_server_is_shared_and_stopped_by_the_last(tmp_path):
    with EmbeddedServer(tmp_path) as first:
        uri = first.address.uri
        assert uri.startswith('mongodb://127.0.0.1:')
        with EmbeddedServer(tmp_path) as second:
            assert second.address.uri == uri
        store = Store.open(first.address)
        store.jobs.insert_one({'a': 1})
        store.close()
    assert not _runs(tmp_path)
    with EmbeddedServer(tmp_path) as again:
        store = Store.open(again.address)
        assert store.jobs.find_one()['a'] == 1
        store.close()


def test_the_embedded_server_comes_back_where_it_was(tmp_path):
    with EmbeddedServer(tmp_path) as server:
        before = server.address.uri
        os.kill(server._child.pid, signal.SIGKILL)
        server._child.wait()
        server.ensure()
        assert server.address.uri == before


ELSEWHERE = """
import socket, subprocess, sys, time
socket.gethostname = lambda: 'login1'
from chainer_kfac.search.server import EmbeddedServer
with EmbeddedServer(sys.argv[1]):
    print('started', flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0, reason='makes a network namespace: needs root')
def test_no_second_server_is_started_from_another_machine(tmp_path):
    """It sees the folder, and not the processes and ports of the first."""
    apart = ['unshare', '--net', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c',
             'ip link set lo up && exec "$@"', 'sh', sys.executable, '-c', ELSEWHERE, tmp_path]
    other = subprocess.Popen(apart, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == 'started\n'
    note = (tmp_path / 'server.json').read_text()
    wanted = r'is run by process \d+ on login1, and only that machine reaches it'
    with pytest.raises(ServerError, match=wanted), EmbeddedServer(tmp_path):
        pass
    assert (tmp_path / 'server.json').read_text() == note
    other.communicate()
    assert other.returncode == 0
    with EmbeddedServer(tmp_path) as server:    # the first has ended in good order
        assert server.address is not None


def test_a_stranger_at_the_port_is_not_taken_for_our_server(tmp_path, own_server):
    import json
    (tmp_path / 'x').mkdir()
    (tmp_path / 'x' / 'server.json').write_text(json.dumps(
        {'kind': 'nx', 'port': own_server.port, 'token': 'ours', 'pid': own_server.process.pid}))
    with EmbeddedServer(tmp_path / 'x') as server:
        assert not server.address.uri.startswith(own_server.uri.rpartition('/')[0])
    assert own_server.process.poll() is None


MONGOD = '''#!{python}
import os, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
os.execv(sys.executable, [sys.executable, '-m', 'secantus', '--standalone', '--cache-size', '64M',
                          '--host', given['--bind_ip'], '--port', given['--port'],
                          '--storage-path', given['--dbpath']])
'''


def test_mongod_is_used_where_it_is_on_the_path(tmp_path, monkeypatch):
    program = tmp_path / 'bin' / 'mongod'
    program.parent.mkdir()
    program.write_text(MONGOD.format(python=sys.executable))
    program.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv('PATH', str(program.parent), prepend=os.pathsep)
        with EmbeddedServer(tmp_path / 'server') as server:
            store = Store.open(server.address)
            store.jobs.insert_one({'a': 1})
            store.close()
    assert not _runs(tmp_path)
    assert list((tmp_path / 'server' / 'mongod').iterdir())
    assert not (tmp_path / 'server' / 'nx').exists()
    with pytest.raises(ServerError, match='begun with mongod'), EmbeddedServer(tmp_path / 'server'):
        pass


def _runs(folder):
    out = subprocess.run(['ps', 'ax', '-o', 'args'], capture_output=True, text=True, check=True)
    return str(folder) in out.stdout


def test_local_workers_are_replaced_and_end_with_the_driver(tmp_path):
    """From nothing to the last trial, with a worker killed on the way."""
    space_ = space.Space((space.Dimension('x', 'uniform', -5, 10),
                          space.Dimension('y', 'uniform', 0, 15)))
    with session.opened(None, tmp_path) as (store, revive):
        experiment = experiments.begin(store, 'test', 'branin', {'seconds': 0.5}, space_,
                                       options.search(trials=5, lease=2.0))
        workers = LocalWorkers(1, store.address, tmp_path, 'test')
        killed = []

        def show(observed, ended):
            if ended and not killed:
                process, _ = workers._processes[0]
                process.kill()
                killed.append(process.pid)

        observed = Driver(store, experiment, workers, revive=revive, show=show).run()
        assert len(killed) == 1
        assert 'attempt' in (tmp_path / 'search/test/logs/worker-0.log').read_text()
        assert observed.ended == 5
        assert all(trial['result']['loss'] == objectives.find('branin').loss(
            **results.values(experiment, trial)) for trial in observed.trials)
        assert not workers._processes
    assert not _runs(tmp_path)


def test_local_workers_that_cannot_work_end_the_search_with_their_reason(nx_store, begin, tmp_path):
    begin(nx_store)
    nx_store.experiments.update_one({}, {'$set': {'version': '9.9'}})
    workers = LocalWorkers(1, nx_store.address, tmp_path, 'test')
    nx_store.jobs.insert_one({'exp_key': 'test', 'tid': 0, 'state': 0, 'kind': 'registered'})

    def until_refused():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            workers.supervise()
            time.sleep(0.1)

    with pytest.raises(SearchError, match='no local worker can go on.*9.9'):
        until_refused()
