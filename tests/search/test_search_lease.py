"""Who holds a trial, on two kinds of server."""
import collections
import datetime
import threading
import time

import pytest

from chainer_kfac.search import lease
from chainer_kfac.search.documents import DONE, ERROR, NEW, RUNNING

pytestmark = pytest.mark.mongo

RESULT = {'status': 'ok', 'loss': 0.5}
CURVE = [{'epoch': 1, 'loss': 0.5}]


@pytest.fixture
def experiment(store, begin, enqueue):
    experiment = begin(store)
    enqueue(store, experiment, 3)
    return experiment


def take(store, owner='w1', exp_key='test'):
    return lease.Claim.of(lease.reserve(store, owner, exp_key))


def get(store, tid=0):
    return store.jobs.find_one({'tid': tid})


def sweep(store, seconds=0.2, most=3):
    sweeper = lease.Sweeper(store)
    sweeper._connected_since -= 1000  # it has been connected for long
    return sweeper.sweep('test', seconds, most)


def test_reserved_in_order_and_once(store, experiment):
    trials = [lease.reserve(store, 'w1', 'test') for _ in range(4)]
    assert [trial and trial['tid'] for trial in trials] == [0, 1, 2, None]
    first = trials[0]
    assert (first['state'], first['owner'], first['attempt'], first['version']) == (
        RUNNING, 'w1', 1, 1)
    assert isinstance(first['book_time'], datetime.datetime)
    assert abs((store.now() - first['book_time']).total_seconds()) < 30  # the server's own clock


def test_other_experiments_and_other_kinds_are_left_alone(store, experiment):
    assert lease.reserve(store, 'w1', 'another') is None
    store.jobs.update_many({}, {'$set': {'kind': None}})  # documents of stock hyperopt have no kind
    assert lease.reserve(store, 'w1', 'test') is None
    assert lease.reserve(store, 'w1') is None


def test_many_workers_at_once(store, experiment, enqueue):
    enqueue(store, experiment, 57, first=3)
    taken = []

    def work(name):
        while (trial := lease.reserve(store, name, 'test')) is not None:
            taken.append(trial['tid'])

    threads = [threading.Thread(target=work, args=('w{}'.format(index),)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(60))


def test_an_answer_that_was_lost_is_recovered(store, experiment):
    assert lease.recover(store, 'w1', 'test') is None
    lease.reserve(store, 'w1', 'test')
    found = lease.recover(store, 'w1', 'test')
    assert (found['tid'], found['attempt']) == (0, 1)
    assert lease.recover(store, 'w2', 'test') is None


def test_beat_and_report_hold_the_trial(store, experiment):
    claim = take(store)
    before = get(store)
    time.sleep(0.05)
    assert lease.beat(store, claim)
    assert lease.report(store, claim, CURVE)
    after = get(store)
    assert after['beats'] == before['beats'] + 2
    assert after['refresh_time'] > before['refresh_time']
    assert (after['curve'], after['last']) == (CURVE, CURVE[-1])


def test_finish_is_stored_once_however_often_it_is_sent(store, experiment):
    claim = take(store)
    for _ in range(3):  # the answer was lost: the worker sends it again
        assert lease.finish(store, claim, DONE, RESULT, CURVE) == 'stored'
    trial = get(store)
    assert (trial['state'], trial['result'], trial['curve'], trial['deliveries']) == (
        DONE, RESULT, CURVE, 1)
    assert trial['end_time'] >= trial['book_time']
    assert not lease.beat(store, claim)
    assert not lease.report(store, claim, CURVE)


def test_release_gives_it_back_with_its_history(store, experiment):
    claim = take(store)
    lease.report(store, claim, CURVE)
    assert lease.release(store, claim, 'SIGTERM', [])
    trial = get(store)
    assert (trial['state'], trial['owner'], trial['setbacks']) == (NEW, None, 0)
    assert trial['curve'] == CURVE  # the next worker may go on from a snapshot
    (entry,) = trial['history']
    assert (entry['attempt'], entry['owner'], entry['reason']) == (1, 'w1', 'SIGTERM')
    assert isinstance(entry['start'], datetime.datetime)
    assert not lease.release(store, claim, 'again', [])
    assert take(store, 'w2').attempt == 2


def test_silence_takes_it_back_and_life_keeps_it(store, experiment):
    silent, alive = take(store), take(store, 'w2')
    time.sleep(0.5)
    lease.beat(store, alive)
    assert sweep(store, 0.4) == 1
    trial = get(store, silent.tid)
    assert (trial['state'], trial['owner'], trial['setbacks']) == (NEW, None, 1)
    assert trial['history'][0]['reason'] == 'silent'
    assert get(store, alive.tid)['state'] == RUNNING
    assert not lease.beat(store, silent)


def test_after_so_many_setbacks_it_fails_with_its_history(store, experiment):
    for attempt in range(3):
        assert take(store).tid == 0
        time.sleep(0.1)
        assert sweep(store, 0.05, most=2) == 1, attempt
    trial = get(store)
    assert trial['state'] == ERROR
    assert (trial['result']['status'], trial['result']['reason']) == ('fail', 'lost')
    assert [entry['attempt'] for entry in trial['history']] == [1, 2, 3]
    assert take(store).tid == 1


def test_a_result_that_comes_after_its_trial_has_failed_is_kept_beside_it(store, experiment):
    claim = take(store)
    time.sleep(0.1)
    assert sweep(store, 0.05, most=0) == 1
    for _ in range(2):  # the answer was lost: the worker sends it again
        assert lease.finish(store, claim, DONE, RESULT, []) == 'duplicate'
    assert get(store)['result']['reason'] == 'lost'
    kept, = store.duplicates.find({})
    assert (kept['tid'], kept['owner'], kept['result']) == (0, 'w1', RESULT)


def test_nothing_is_taken_back_right_after_an_outage(store, experiment):
    take(store)
    time.sleep(0.3)
    sweeper = lease.Sweeper(store)
    sweeper.connection_lost()
    assert sweeper.sweep('test', 0.25, 3) == 0
    time.sleep(0.15)  # two beats of a quarter second's lease
    assert sweeper.sweep('test', 0.25, 3) == 1


def test_a_late_result_counts_while_nobody_else_has_the_trial(store, experiment):
    claim = take(store)
    time.sleep(0.1)
    assert sweep(store, 0.05) == 1
    assert lease.finish(store, claim, DONE, RESULT, CURVE) == 'stored'
    assert (get(store)['state'], get(store)['owner']) == (DONE, 'w1')
    assert take(store, 'w2').tid == 1


@pytest.mark.parametrize('ended', [False, True])
def test_a_late_result_never_replaces_anothers(store, experiment, ended):
    late = take(store)
    time.sleep(0.1)
    sweep(store, 0.05)
    now = take(store, 'w2')
    assert now.tid == late.tid
    if ended:
        lease.finish(store, now, DONE, {'status': 'ok', 'loss': 0.1}, [])
    for _ in range(2):
        assert lease.finish(store, late, DONE, RESULT, CURVE) == 'duplicate'
    if not ended:
        assert lease.finish(store, now, DONE, {'status': 'ok', 'loss': 0.1}, []) == 'stored'
    assert get(store)['result']['loss'] == 0.1
    assert get(store)['deliveries'] == 1
    (kept,) = store.duplicates.find()
    assert (kept['tid'], kept['owner'], kept['attempt'], kept['result']) == (0, 'w1', 1, RESULT)


def test_a_late_result_does_not_count_when_another_has_had_the_trial_meanwhile(store, experiment):
    """It waits again, but not as the late worker left it."""
    late = take(store)
    for owner in ('w2', None):
        time.sleep(0.1)
        assert sweep(store, 0.05) == 1
        if owner is not None:
            assert take(store, owner).tid == late.tid
    assert get(store)['state'] == NEW
    assert lease.finish(store, late, DONE, RESULT, CURVE) == 'duplicate'
    assert get(store)['state'] == NEW


def test_a_result_for_a_deleted_trial(store, experiment):
    claim = take(store)
    store.jobs.delete_many({})
    assert lease.finish(store, claim, DONE, RESULT, CURVE) == 'gone'


@pytest.mark.parametrize(('key', 'value'), [('attempt', 'x'), ('version', []), ('attempt', {}),
                                            ('version', None)])
def test_a_malformed_document_does_not_shut_the_queue(store, experiment, key, value):
    store.jobs.update_one({'tid': 0}, {'$set': {key: value}})
    taken = [trial['tid'] for _ in range(5)
             if (trial := lease.reserve(store, 'w1', 'test')) is not None]
    assert taken[-2:] == [1, 2]
    assert get(store)['state'] in (ERROR, RUNNING)  # refused here, or by the worker's own check


def test_requests_have_their_indexes(store):
    keys = [tuple(name for name, _ in each['key']) for each in
            store.jobs.index_information().values()]
    assert ('exp_key', 'state', 'tid') in keys  # reserve
    assert ('state', 'tid') in keys  # reserve of any experiment


def test_a_database_has_one_identity(store):
    assert store.identity() == store.identity()
    assert len(store.identity()) == 32


def test_a_trial_number_exists_once(store, experiment, enqueue):
    errors = pytest.importorskip('pymongo.errors')
    with pytest.raises(errors.DuplicateKeyError):
        enqueue(store, experiment, 1)
    assert collections.Counter(trial['tid'] for trial in store.jobs.find()) == {0: 1, 1: 1, 2: 1}
