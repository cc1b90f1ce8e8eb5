"""An interrupted run goes on and ends with the very bits of an uninterrupted one."""
import dataclasses
import json
import os
import signal

import numpy as np
import pytest
from chainer.training.updaters import StandardUpdater
from training_support import assert_same_state, config, finish_and_keep, last_state, without_times

from chainer_kfac import datasets, training
from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.training import run_directory
from chainer_kfac.training.extensions import SnapshotTrigger

OPTIMIZERS = ('momentum_sgd', 'adam', 'kfac')
BETWEEN = 7   # the first epoch's snapshot
MIDDLE = 10   # epochs end after 7, 13 and 19 updates


class CrashError(Exception):
    """The end of a process, without the process."""


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', finish_and_keep)
    monkeypatch.setattr(SnapshotTrigger, 'soon', 0.0)   # after each epoch, however short


@pytest.fixture
def at(monkeypatch):
    """``at(iteration, action)`` calls the action once, right after the update with that number."""
    update = StandardUpdater.update

    def set_up(iteration, action):
        def update_and_act(self):
            update(self)
            if self.iteration == iteration:
                monkeypatch.setattr(StandardUpdater, 'update', update)
                action()
        monkeypatch.setattr(StandardUpdater, 'update', update_and_act)
    return set_up


def crash():
    raise CrashError


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def assert_same_runs(got, expected):
    assert_same_state(last_state(got), last_state(expected))
    logs = [without_times(json.loads((path / 'log').read_text())) for path in (got, expected)]
    assert logs[0] == logs[1]
    results = [json.loads((path / 'result.json').read_text()) for path in (got, expected)]
    for result in results:
        for key in ('wall_time', 'seconds_per_epoch', 'peak_memory_mb'):
            result.pop(key)
    assert results[0] == results[1]


@pytest.mark.parametrize('fields', [
    {}, {'select_on': 'holdout', 'batch_size': 30}, {'fast': True}, {'dtype': 'float16'},
    {'augment': False, 'lr_decay_epoch': 1},
], ids=['plain', 'holdout', 'fast', 'float16', 'decay'])
@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_crash_after_an_epoch_and_signal_within_one(tmp_path, at, optimizer, fields):
    run = config(optimizer, **fields)
    training.run(run, tmp_path / 'whole')
    cut = tmp_path / 'cut'
    at(MIDDLE, crash)
    with pytest.raises(CrashError):
        training.run(run, cut)
    at(MIDDLE + 1, interrupt)
    with pytest.raises(training.Interrupted, match='iteration 11.*the same command') as caught:
        training.run(run, cut)
    assert caught.value.exit_code == 130
    assert (cut / 'snapshot_iter_11').exists()
    assert not (cut / 'result.json').exists()
    training.run(run, cut)
    assert_same_runs(cut, tmp_path / 'whole')


def test_what_goes_on_after_a_forced_run_does_not_force(tmp_path, at):
    at(3, interrupt)
    with pytest.raises(training.Interrupted, match='the same command without --force goes on'):
        training.run(config(), tmp_path, force=True)


@pytest.mark.parametrize('fields', [{'fisher': 'mc', 'acc_iters': 2},
                                    {'factor_update_interval': 3, 'inverse_update_interval': 4}])
def test_kfac_between_its_own_updates(tmp_path, at, fields):
    test_crash_after_an_epoch_and_signal_within_one(tmp_path, at, 'kfac', fields)


def test_two_snapshots_are_kept(tmp_path):
    training.run(config(epochs=4), tmp_path)
    assert sorted(path.name for path in tmp_path.glob('snapshot*')) == [
        'snapshot_iter_19', 'snapshot_iter_25']


def test_a_crash_before_the_result_repeats_no_training(tmp_path, at, monkeypatch):
    run = config()
    finish = run_directory.RunDirectory.finish
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', lambda *_: crash())
    with pytest.raises(CrashError):
        training.run(run, tmp_path)
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', finish)
    monkeypatch.setattr(StandardUpdater, 'update', None)  # an update would fail
    assert training.run(run, tmp_path)['iterations'] == 19


@pytest.mark.parametrize('damage', ['cut short', 'a flipped bit', 'empty'])
def test_a_damaged_snapshot_is_skipped_for_the_one_before(tmp_path, at, caplog, damage):
    run = config()
    training.run(run, tmp_path / 'whole')
    cut = tmp_path / 'cut'
    at(15, crash)
    with pytest.raises(CrashError):
        training.run(run, cut)
    newest = cut / 'snapshot_iter_13'
    content = bytearray(newest.read_bytes())
    if damage == 'a flipped bit':
        content[len(content) // 2] ^= 4
    newest.write_bytes({'cut short': content[:-100], 'empty': b''}.get(damage, content))
    caplog.set_level('INFO')
    training.run(run, cut)
    assert 'snapshot_iter_13 is damaged' in caplog.text
    assert 'resuming from {}'.format(cut / 'snapshot_iter_7') in caplog.text
    assert_same_runs(cut, tmp_path / 'whole')


def test_no_whole_snapshot_is_said_and_nothing_is_lost(tmp_path, at):
    run = config()
    at(MIDDLE, crash)
    with pytest.raises(CrashError):
        training.run(run, tmp_path)
    (tmp_path / 'snapshot_iter_7').write_bytes(b'half')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunDirectoryError, match='no snapshot .* is whole: delete snapshot_iter_7'):
        training.run(run, tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_snapshot_of_another_program_is_refused(tmp_path, at):
    run = config()
    at(MIDDLE, crash)
    with pytest.raises(CrashError):
        training.run(run, tmp_path)
    with np.load(tmp_path / 'snapshot_iter_7', allow_pickle=True) as old:
        arrays = {key: old[key] for key in old if not key.endswith('fc/W')}
    with open(tmp_path / 'snapshot_iter_7', 'wb') as stream:
        np.savez(stream, **arrays)
    with pytest.raises(RunDirectoryError, match='snapshot_iter_7 does not fit .*fc/W.*--force'):
        training.run(run, tmp_path)


def test_a_snapshot_of_other_data_is_refused(tmp_path, at, monkeypatch):
    at(MIDDLE, crash)
    with pytest.raises(CrashError):
        training.run(config(), tmp_path)
    load = datasets.load
    monkeypatch.setattr(datasets, 'load',
                        lambda *sizes: dataclasses.replace(load(*sizes), digest='0' * 64))
    with pytest.raises(RunDirectoryError, match='snapshot_iter_7 does not fit .* is now 00000000'):
        training.run(config(), tmp_path)


def test_on_epoch_misses_nothing_when_the_run_is_killed_before_it(tmp_path):
    seen = []

    def on_epoch(entry):
        seen.append(entry['epoch'])

    def killed(entry):
        if entry['epoch'] == 2:
            crash()
        on_epoch(entry)
    with pytest.raises(CrashError):
        training.run(config(), tmp_path, on_epoch=killed)
    training.run(config(), tmp_path, on_epoch=on_epoch)
    assert seen == [1, 2, 3]


def test_reports_may_change_from_start_to_start(tmp_path, at, capsys, recwarn):
    at(MIDDLE, crash)
    with pytest.raises(CrashError):
        training.run(config(), tmp_path, progress='none')
    at(16, crash)
    with pytest.raises(CrashError):
        training.run(config(), tmp_path, progress='bar', on_epoch=lambda entry: None)
    training.run(config(), tmp_path, progress='lines')
    assert not [str(each.message) for each in recwarn if 'not saved' in str(each.message)]


def test_a_long_epoch_has_snapshots_inside(tmp_path, at, monkeypatch):
    monkeypatch.setattr(SnapshotTrigger, 'seconds', 0.0)
    at(MIDDLE, crash)
    with pytest.raises(CrashError):
        training.run(config(), tmp_path)
    assert [path.name for path in run_directory.RunDirectory(tmp_path).snapshots()] == [
        'snapshot_iter_9', 'snapshot_iter_8']
    monkeypatch.setattr(SnapshotTrigger, 'seconds', 600.0)
    training.run(config(), tmp_path)
    training.run(config(), tmp_path / 'whole')
    assert_same_runs(tmp_path, tmp_path / 'whole')


def test_a_second_signal_ends_the_run_at_once(tmp_path, at):
    def twice():
        interrupt()
        os.kill(os.getpid(), signal.SIGTERM)
    at(MIDDLE, twice)
    with pytest.raises(training.Interrupted, match='SIGTERM without a new snapshot') as caught:
        training.run(config(), tmp_path)
    assert caught.value.exit_code == 143
    assert not (tmp_path / 'snapshot_iter_10').exists()
