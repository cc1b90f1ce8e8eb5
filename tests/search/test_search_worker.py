"""Worker processes against a real server, and what may happen to them."""
import dataclasses
import json
import os
import resource
import signal
import time

import pytest

from chainer_kfac import cli
from chainer_kfac.search import evaluation, experiments, lease, objectives, worker
from chainer_kfac.search.documents import DONE, ERROR, NEW, RUNNING
from chainer_kfac.search.errors import SearchError
from chainer_kfac.search.progress import Pruned
from chainer_kfac.search.spool import Spool
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.training import Interrupted

pytestmark = pytest.mark.mongo


@pytest.fixture
def state(nx_store):
    return lambda tid=0: nx_store.jobs.find_one({'tid': tid})['state']


def trials(store):
    return sorted(store.jobs.find(), key=lambda trial: trial['tid'])


def test_takes_trials_and_stores_losses_and_curves(nx, nx_store, begin, enqueue, start_worker):
    experiment = begin(nx_store, settings={'epochs': 3})
    enqueue(nx_store, experiment, 2)
    process = start_worker(nx.uri, '--max-trials', 2)
    assert process.wait(60) == 0, process.log.read_text()
    for trial in trials(nx_store):
        loss = objectives.find('branin').loss(**experiment.values(trial))
        assert (trial['state'], trial['result']['status']) == (DONE, 'ok')
        assert trial['result']['loss'] == loss
        assert trial['result']['worker'] == trial['owner']
        assert [entry['epoch'] for entry in trial['curve']] == [1, 2, 3]
        assert trial['curve'][-1]['loss'] == loss
    (entry,) = nx_store.workers.find()
    assert (entry['state'], entry['pid']) == ('gone', process.pid)


@pytest.mark.parametrize(('signum', 'code'), [(signal.SIGTERM, 143), (signal.SIGUSR1, 0),
                                              (signal.SIGINT, 130)])
def test_a_signal_gives_the_trial_back_at_once(nx, nx_store, begin, enqueue, start_worker,
                                               eventually, state, signum, code):
    enqueue(nx_store, begin(nx_store, settings={'epochs': 2, 'seconds': 60}), 1)
    process = start_worker(nx.uri)
    eventually(lambda: state() == RUNNING)
    time.sleep(0.3)
    process.send_signal(signum)
    assert process.wait(20) == code, process.log.read_text()
    (trial,) = trials(nx_store)
    assert (trial['state'], trial['owner'], trial['setbacks']) == (NEW, None, 0)
    assert trial['history'][0]['reason'] == signum.name


def test_a_worker_of_a_search_leaves_when_it_is_done(nx, nx_store, begin, enqueue, start_worker,
                                                     eventually):
    process = start_worker(nx.uri, '--exp-key', 'test', '--until-done')
    eventually(lambda: nx_store.workers.find_one({'state': 'idle'}))  # there is no experiment yet
    enqueue(nx_store, begin(nx_store, trials=2), 1)
    eventually(lambda: trials(nx_store)[0]['state'] == DONE)
    assert process.poll() is None
    enqueue(nx_store, experiments.load(nx_store, 'test'), 1, first=1)
    assert process.wait(30) == 0, process.log.read_text()
    assert [trial['state'] for trial in trials(nx_store)] == [DONE, DONE]


def test_until_done_needs_an_experiment(capsys):
    assert cli.main(['worker', '--until-done']) == 2
    assert '--exp-key' in capsys.readouterr().err


def test_a_time_limit_ends_the_trial_in_time(nx_store, begin, enqueue, tmp_path):
    enqueue(nx_store, begin(nx_store, settings={'epochs': 2, 'seconds': 60}), 1)
    begun = time.monotonic()
    stopping = Stopping(begun + 1.5)
    with stopping.listening():
        worker.Worker(nx_store, tmp_path, stopping=stopping).run()
    assert 1.5 < time.monotonic() - begun < 15
    assert stopping.exit_code == 0
    (trial,) = trials(nx_store)
    assert (trial['state'], trial['history'][0]['reason']) == (NEW, 'time limit')


def test_no_trial_is_begun_that_would_not_fit(nx_store, begin, enqueue, tmp_path):
    experiment = begin(nx_store, settings={'seconds': 0.1})
    enqueue(nx_store, experiment, 2)
    claim = lease.Claim.of(lease.reserve(nx_store, 'other', 'test'))
    lease.finish(nx_store, claim, DONE, {'status': 'ok', 'loss': 1.0, 'seconds': 500.0}, [])
    for left, attempts in ((300, 0), (900, 1)):
        stopping = Stopping(time.monotonic() + left)
        worker.Worker(nx_store, tmp_path, 'test', 1, stopping).run()
        assert trials(nx_store)[1]['attempt'] == attempts


def test_killed_workers_trial_is_evaluated_by_another(nx, nx_store, begin, enqueue, start_worker,
                                                      eventually, state):
    experiment = begin(nx_store, settings={'epochs': 2, 'seconds': 1.5}, lease=2.0)
    enqueue(nx_store, experiment, 2)
    victim = start_worker(nx.uri, '--exp-key', 'test')
    eventually(lambda: state() == RUNNING)
    victim.kill()
    heir = start_worker(nx.uri, '--exp-key', 'test', '--max-trials', 2)
    assert heir.wait(60) == 0, heir.log.read_text()
    first, second = trials(nx_store)
    assert (first['state'], second['state']) == (DONE, DONE)
    assert (first['attempt'], first['history'][0]['reason']) == (2, 'silent')


def test_a_worker_that_has_had_no_trial_takes_those_of_the_dead_back(nx_store, begin, enqueue,
                                                                     tmp_path):
    """Where the driver is gone: nobody else would."""
    enqueue(nx_store, begin(nx_store, lease=2.0), 1)
    assert lease.reserve(nx_store, 'dead') is not None
    worker.Worker(nx_store, tmp_path, 'test', max_trials=1,
                  stopping=Stopping(time.monotonic() + 60)).run()
    (trial,) = trials(nx_store)
    assert (trial['state'], trial['attempt'], trial['history'][0]['owner']) == (DONE, 2, 'dead')


def test_a_nan_is_a_failed_trial(nx_store, begin, tmp_path):
    experiment = begin(nx_store, 'cliff')
    nx_store.jobs.insert_one(experiment.new_trial(0, {'x': 500.0}, 'given'))
    worker.Worker(nx_store, tmp_path, max_trials=1).run()
    (trial,) = trials(nx_store)
    assert trial['state'] == DONE  # and so seen by every reader of hyperopt's states
    assert (trial['result']['status'], trial['result']['reason']) == ('fail', 'diverged')
    assert 'loss' not in trial['result']


def test_hostile_trials_are_refused_and_the_rest_goes_on(nx_store, begin, enqueue, tmp_path):
    experiment = begin(nx_store)
    enqueue(nx_store, experiment, 7)
    nx_store.jobs.insert_many([  # what others have left behind is looked at for times and curves
        {**experiment.new_trial(99, {'x': 1.0, 'y': 1.0}, 'x'), 'state': DONE, 'result': 'x'},
        {'exp_key': 'test', 'tid': 100, 'state': DONE}])
    for tid, change in enumerate([
            {'misc.vals.x': ['__import__("os").system("true")']}, {'misc.vals.y': [1e300]},
            {'misc.cmd': ['registered', 'os.system', 'x']}, {'exp_key': '../../etc'},
            {'exp_key': {'$foo': 1}}, {'exp_key': {'$regex': '.*'}}]):
        nx_store.jobs.update_one({'tid': tid}, {'$set': change})
    worker.Worker(nx_store, tmp_path, max_trials=1, stopping=Stopping(time.monotonic() + 60)).run()
    states = [(trial['state'], trial['result'].get('reason')) for trial in trials(nx_store)[:7]]
    assert states == [(ERROR, 'refused')] * 6 + [(DONE, None)]


def test_another_version_is_told_apart(nx_store, begin, enqueue, tmp_path):
    enqueue(nx_store, begin(nx_store), 1)
    nx_store.experiments.update_one({}, {'$set': {'version': '9.9'}})
    with pytest.raises(SearchError, match='9.9'):
        worker.Worker(nx_store, tmp_path).run()
    assert trials(nx_store)[0]['state'] == NEW


def test_a_cut_connection_loses_nothing(nx, nx_store, begin, enqueue, start_worker, eventually,
                                        state, proxy, tmp_path):
    """The line is cut during the trial and stays so beyond its end and its lease."""
    wire = proxy(nx.port)
    enqueue(nx_store, begin(nx_store, settings={'epochs': 4, 'seconds': 1.5}, lease=2.0), 1)
    process = start_worker(wire.uri + '?serverSelectionTimeoutMS=500', '--max-trials', 1)
    eventually(lambda: 'attempt 1' in process.log.read_text())
    wire.cut()
    spool = tmp_path / 'runs' / 'search' / 'spool'
    eventually(lambda: list(spool.glob('*.json')))
    assert state() == RUNNING
    sweeper = lease.Sweeper(nx_store)
    sweeper._connected_since -= 1000
    eventually(lambda: sweeper.sweep('test', 2.0, 3))
    eventually(lambda: 'trying again' in process.log.read_text())
    wire.mend()
    assert process.wait(60) == 0, process.log.read_text()
    (trial,) = trials(nx_store)
    assert (trial['state'], trial['deliveries'], len(trial['curve'])) == (DONE, 1, 4)
    assert not list(spool.glob('*.json'))


def test_the_next_worker_delivers_what_a_dead_one_left(nx, nx_store, begin, enqueue, start_worker,
                                                       eventually, state, proxy, tmp_path):
    wire = proxy(nx.port)
    enqueue(nx_store, begin(nx_store, settings={'seconds': 1.0}), 1)
    process = start_worker(wire.uri + '?serverSelectionTimeoutMS=500')
    eventually(lambda: 'attempt 1' in process.log.read_text())
    wire.cut()
    spool = tmp_path / 'runs' / 'search' / 'spool'
    (left,) = eventually(lambda: list(spool.glob('*.json')))
    process.kill()
    content = json.loads(left.read_text())
    assert 'mongodb' not in left.read_text()
    heir = start_worker(nx.uri)
    eventually(lambda: state() == DONE)
    assert trials(nx_store)[0]['result'] == content['result']
    assert trials(nx_store)[0]['owner'] == content['owner']
    eventually(lambda: not list(spool.glob('*.json')))
    heir.terminate()


def test_a_full_disk_of_the_server_is_waited_for(make_server, begin, enqueue, start_worker,
                                                 eventually):
    from chainer_kfac.search.address import Address
    from chainer_kfac.search.store import Store

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    server = make_server('nx', prelude=small_files)
    store = Store.open(Address(server.uri))
    store.create_indexes()
    enqueue(store, begin(store, settings={'epochs': 2, 'seconds': 2.0}), 1)
    process = start_worker(server.uri, '--max-trials', 1)
    eventually(lambda: store.jobs.find_one({'state': RUNNING}))
    server.allow_files_of(1024)
    eventually(lambda: 'cannot write its files' in process.log.read_text(), 60)
    server.allow_files_of(resource.RLIM_INFINITY)
    assert process.wait(60) == 0, process.log.read_text()
    (trial,) = store.jobs.find()
    assert (trial['state'], trial['deliveries']) == (DONE, 1)


def test_a_full_disk_of_the_worker_keeps_the_result_in_memory(nx_store, begin, enqueue, tmp_path,
                                                              caplog):
    enqueue(nx_store, begin(nx_store), 1)
    (tmp_path / 'search').mkdir()
    (tmp_path / 'search' / 'spool').write_text('a file where the folder should be')
    worker.Worker(nx_store, tmp_path, max_trials=1).run()
    assert 'held in memory' in caplog.text
    assert trials(nx_store)[0]['state'] == DONE


def test_no_server_is_one_sentence(start_worker):
    process = start_worker('mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300')
    assert process.wait(60) == 2
    said = process.log.read_text().strip()
    assert said.startswith('chainer-kfac worker: no MongoDB server answers at mongodb://127.0.0.1')
    assert '\n' not in said


def test_a_trial_that_crashes_goes_to_others_and_the_worker_leaves(nx_store, begin, enqueue,
                                                                   tmp_path, monkeypatch):
    enqueue(nx_store, begin(nx_store, setbacks=1), 2)
    monkeypatch.setattr(objectives.find('branin'), 'loss', lambda **values: 1 / 0)
    with pytest.raises(SearchError, match='3 trials in a row crashed here.*ZeroDivisionError'):
        worker.Worker(nx_store, tmp_path).run()
    first, second = trials(nx_store)
    assert (first['state'], first['result']['reason'], first['setbacks']) == (ERROR, 'error', 1)
    assert (second['state'], second['setbacks']) == (NEW, 1)
    assert 'ZeroDivisionError' in second['history'][0]['reason']


def test_a_worker_without_data_gives_its_trial_back(nx_store, begin, enqueue, tmp_path,
                                                    monkeypatch):
    from chainer_kfac.exceptions import DataError
    enqueue(nx_store, begin(nx_store), 1)

    def missing(settings):
        raise DataError('CIFAR-10 is not there')

    monkeypatch.setattr(objectives.find('branin'), 'data', missing)
    with pytest.raises(DataError):
        worker.Worker(nx_store, tmp_path).run()
    (trial,) = trials(nx_store)
    assert (trial['state'], trial['setbacks'], trial['history'][0]['reason']) == (
        NEW, 0, 'DataError')


def test_other_images_than_the_first_workers_are_refused(nx_store, begin, enqueue, tmp_path,
                                                         monkeypatch):
    enqueue(nx_store, begin(nx_store), 2)
    branin = objectives.find('branin')
    monkeypatch.setattr(branin, 'data', lambda settings: 'aaa')
    worker.Worker(nx_store, tmp_path, max_trials=1).run()
    assert nx_store.experiments.find_one()['data'] == 'aaa'
    monkeypatch.setattr(branin, 'data', lambda settings: 'bbb')
    with pytest.raises(SearchError, match='bbb here and aaa at the other workers'):
        worker.Worker(nx_store, tmp_path).run()
    assert trials(nx_store)[1]['state'] == NEW


def test_a_lost_lease_ends_the_evaluation_not_the_worker(nx_store, begin, enqueue, start_worker, nx,
                                                         eventually, state):
    enqueue(nx_store, begin(nx_store, settings={'epochs': 2, 'seconds': 60}, lease=2.0), 1)
    process = start_worker(nx.uri, '--exp-key', 'test')
    eventually(lambda: state() == RUNNING)
    nx_store.jobs.update_one({}, {'$set': {'owner': 'another', 'attempt': 2, 'state': DONE}})
    eventually(lambda: 'had gone to another worker' in process.log.read_text())
    eventually(lambda: nx_store.workers.find_one({'state': 'idle'}))
    assert process.poll() is None
    process.terminate()
    assert process.wait(20) == 143  # an idle worker leaves at once


def test_pruning_uses_the_others_curves(nx_store, begin, enqueue, tmp_path):
    """x grows with the trial's number, and Branin with it: the later trials are the hopeless."""
    experiment = begin(nx_store, settings={'epochs': 10}, trials=9)
    for tid in range(9):
        nx_store.jobs.insert_one(experiment.new_trial(tid, {'x': 3.0 + tid / 2, 'y': 9.0}, 'given'))
    worker.Worker(nx_store, tmp_path, max_trials=9).run()
    ends = [(trial['result']['pruned'], trial['result']['epochs']) for trial in trials(nx_store)]
    assert ends[:5] == [(None, 10)] * 5
    assert all(rule is not None and epochs < 10 for rule, epochs in ends[5:])
    for trial in trials(nx_store)[5:]:
        assert trial['result']['status'] == 'ok'
        assert trial['result']['loss'] == min(entry['loss'] for entry in trial['curve'])


def test_spool_names_a_damaged_file_and_goes_on(tmp_path, caplog):
    claim = lease.Claim('5f' * 12, 'e', 3, 'w', 1)
    spool = Spool(tmp_path, 'here')
    Spool(tmp_path, 'elsewhere').put(dataclasses.replace(claim, tid=4), DONE, {'loss': 0.5}, [])
    good = spool.put(claim, DONE, {'status': 'ok', 'loss': 0.5}, [])
    (tmp_path / 'bad.json').write_text('{')
    (tmp_path / 'odd.json').write_text('{"id": "x"}')
    (entry,) = spool.waiting()
    assert entry[0] == good
    assert str(entry[1].id) == claim.id
    assert 'bad.json' in caplog.text
    assert 'odd.json' in caplog.text


def test_results_for_another_database_are_left_to_its_workers(store, begin, enqueue, tmp_path):
    claim = lease.Claim('5f' * 12, 'e', 3, 'w', 1)
    left = Spool(tmp_path / 'search' / 'spool', 'another').put(claim, DONE, {'loss': 0.5}, [])
    gone = Spool(left.parent, store.identity()).put(dataclasses.replace(claim, tid=4), DONE, {}, [])
    enqueue(store, begin(store), 1)
    worker.Worker(store, tmp_path, max_trials=1).run()
    assert left.exists()
    assert not gone.exists()


def test_a_trial_is_held_while_its_images_are_loaded(nx_store, begin, enqueue, tmp_path,
                                                     monkeypatch):
    enqueue(nx_store, begin(nx_store, lease=2.0), 1)
    sweeper = lease.Sweeper(nx_store)
    sweeper._connected_since -= 1000

    def slow(settings):
        time.sleep(2.5)
        assert sweeper.sweep('test', 2.0, 3) == 0

    monkeypatch.setattr(objectives.find('branin'), 'data', slow)
    worker.Worker(nx_store, tmp_path, max_trials=1).run()
    (trial,) = trials(nx_store)
    assert (trial['state'], trial['attempt']) == (DONE, 1)


def test_a_warning_of_the_batch_system_is_not_taken_for_our_own_signal():
    """Our own went to a training run, which had taken over the signals."""
    stopping = Stopping()
    with stopping.listening():
        for_training = signal.signal(signal.SIGUSR1, lambda *_: None)
        stopping.end_trial('lease lost')
        signal.signal(signal.SIGUSR1, for_training)
        stopping.note(Interrupted(signal.SIGUSR1, 'x'))
        assert stopping.reason is None
        stopping.trial_reason = None
        os.kill(os.getpid(), signal.SIGUSR1)
    assert stopping.reason == 'SIGUSR1'


def test_training_that_began_after_the_signal_hears_of_it_once():
    stopping, heard = Stopping(alone=False), []
    with stopping.listening():
        os.kill(os.getpid(), signal.SIGTERM)  # while the images were being loaded
        stopping.remind()
        ours = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        for _ in range(3):
            stopping.remind()
        signal.signal(signal.SIGUSR1, ours)
        stopping.note(Interrupted(signal.SIGUSR1, 'x'))
    assert heard == [1]
    assert (stopping.reason, stopping.exit_code) == ('SIGTERM', 143)


@pytest.mark.parametrize(('error', 'kind'), [
    (Pruned('median'), evaluation.OK), (MemoryError(), evaluation.CRASHED),
    (OSError(28, 'No space left on device'), evaluation.BROKEN), (KeyboardInterrupt(),
                                                                 evaluation.STOPPED)])
def test_what_an_evaluation_may_come_to(error, kind, monkeypatch, tmp_path):
    from chainer_kfac.communicators.ranks import Alone
    from chainer_kfac.search.progress import Progress

    def evaluate(values, settings, progress):
        progress.report(1, 0.5)
        raise error

    monkeypatch.setattr(objectives.find('branin'), 'evaluate', evaluate)
    stopping = Stopping()
    progress = Progress(tmp_path, 'auto', Alone(), stopping)
    outcome = evaluation.evaluate(evaluation.Task('branin', {}, {}), progress, Alone(), stopping)
    assert outcome.kind == kind
    if kind == evaluation.OK:
        assert (outcome.result['loss'], outcome.result['pruned']) == (0.5, 'median')
    if kind == evaluation.STOPPED:
        assert stopping.reason == 'SIGINT'


@pytest.mark.parametrize(('text', 'seconds'), [('0:05', 5), ('3:55:00', 14100), ('90:00', 5400),
                                               ('1-00:00:10', 86410)])
def test_time_limits(text, seconds):
    from chainer_kfac.cli.worker import seconds as parse
    assert parse(text) == seconds


@pytest.mark.parametrize('text', ['', '90', '1:2:3:4', '-1:00', '1-2:00', 'x'])
def test_time_limits_that_are_none(text):
    import argparse

    from chainer_kfac.cli.worker import seconds as parse
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)
