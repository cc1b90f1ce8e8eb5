"""The run directory: where it is, who may use it, and what becomes of other runs' records."""
import dataclasses
import errno
import multiprocessing
import os

import pytest
from training_support import config

from chainer_kfac.exceptions import DivergedError, RunDirectoryError
from chainer_kfac.training import run_directory
from chainer_kfac.training.run_directory import RunDirectory


def names(path):
    return sorted(each.name for each in path.iterdir())


def test_path():
    run = config(experiment='table1', profile='smoke', batch_size=64, seed=3)
    assert str(run_directory.path(run)) == 'runs/table1/smoke/digits/momentum_sgd-bs64/seed3'
    variant = dataclasses.replace(run, variant='old-ema')
    assert str(run_directory.path(variant, '/r')).endswith('/momentum_sgd-bs64-old-ema/seed3')


def test_a_new_directory_holds_the_whole_configuration(tmp_path):
    place = RunDirectory(tmp_path / 'a' / 'b')
    with place.opened(config()):
        pass
    assert place.check(config()) is None
    text = (place.path / 'config.yaml').read_text()
    assert text.startswith('format: 1\n')
    assert 'momentum: 0.8\n' in text
    assert 'eta: null\n' in text


def test_another_configuration_is_refused_by_the_field(tmp_path):
    place = RunDirectory(tmp_path)
    with place.opened(config()):
        pass
    other = config(lr=0.2)
    sentence = 'holds a run with lr 0.05, not 0.2: set another variant, or add --force'
    with pytest.raises(RunDirectoryError, match=sentence):
        place.check(other)
    with pytest.raises(RunDirectoryError, match=sentence), place.opened(other):
        pass
    assert place.check(config()) is None


def test_force_discards_what_belongs_to_the_run_and_nothing_else(tmp_path):
    place = RunDirectory(tmp_path)
    with place.opened(config()):
        (tmp_path / 'log').write_text('[]')
        (tmp_path / 'snapshot_iter_7').write_text('x')
        place.finish('result.json', {'a': 1})
        (tmp_path / 'snapshot_iter_9').write_text('x')
    (tmp_path / 'notes.txt').write_text('mine')
    with place.opened(config(lr=0.2), force=True):
        assert names(tmp_path) == ['.lock', 'config.yaml', 'notes.txt']
    assert 'lr: 0.2\n' in (tmp_path / 'config.yaml').read_text()


def test_finishing_drops_the_snapshots_last(tmp_path, monkeypatch):
    place = RunDirectory(tmp_path)
    with place.opened(config()):
        (tmp_path / 'snapshot_iter_7').write_text('x')

        def full(*args):
            raise OSError(errno.ENOSPC, 'No space left on device')
        monkeypatch.setattr(os, 'replace', full)
        with pytest.raises(RunDirectoryError, match='cannot write result.json in .*disk is full'):
            place.finish('result.json', {'a': 1})
        assert [path.name for path in place.snapshots()] == ['snapshot_iter_7']
        assert place.check(config()) is None
        monkeypatch.undo()
        place.finish('result.json', {'a': 1})
    assert place.snapshots() == []
    assert place.check(config()) == {'a': 1}
    assert not list(tmp_path.glob('.*.partial'))


def test_newest_snapshot_first(tmp_path):
    for name in ('snapshot_iter_9', 'snapshot_iter_10', 'snapshot_iter_7x', 'snapshot_iter_'):
        (tmp_path / name).write_text('')
    assert [path.name for path in RunDirectory(tmp_path).snapshots()] == [
        'snapshot_iter_10', 'snapshot_iter_9']


def test_leftovers_of_a_killed_write_are_removed(tmp_path):
    place = RunDirectory(tmp_path)
    for name in ('tmpsnapshot_iter_7abc', 'logq1w2'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'part').write_text('x')
    with place.opened(config()):
        assert names(tmp_path) == ['.lock', 'config.yaml']


def test_damaged_files_are_named(tmp_path):
    place = RunDirectory(tmp_path)
    with place.opened(config()):
        (tmp_path / 'result.json').write_text('{"a": ')
    with pytest.raises(RunDirectoryError, match='result.json cannot be read .*--force'):
        place.check(config())
    (tmp_path / 'config.yaml').write_text('format: 1\nlr: [')
    with pytest.raises(RunDirectoryError, match='config.yaml is not valid YAML.*--force'):
        place.check(config())
    (tmp_path / 'config.yaml').unlink()
    with pytest.raises(RunDirectoryError, match='holds result.json but no config.yaml'):
        place.check(config())


def test_a_diverged_run_is_not_tried_again(tmp_path):
    place = RunDirectory(tmp_path)
    with place.opened(config()):
        place.finish('diverged.json', {'reason': 'training diverged in epoch 2, iteration 9: x'})
    with pytest.raises(DivergedError, match='in epoch 2, iteration 9.*diverged.json.*--force'):
        place.check(config())


def _hold(path, ready, done):
    with RunDirectory(path).opened(config()):
        ready.set()
        done.wait()


def test_one_process_at_a_time_and_a_killed_one_lets_go(tmp_path):
    context = multiprocessing.get_context('fork')
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, done))
    assert not RunDirectory(tmp_path).in_use()
    holder.start()
    try:
        assert ready.wait(30)
        assert RunDirectory(tmp_path).in_use()
        sentence = 'in use by process {} on '.format(holder.pid)
        with pytest.raises(RunDirectoryError, match=sentence), \
                RunDirectory(tmp_path).opened(config()):
            pass
    finally:
        holder.kill()
        holder.join()
    assert not RunDirectory(tmp_path).in_use()
    with RunDirectory(tmp_path).opened(config()):
        pass


def test_a_path_that_cannot_be_a_folder(tmp_path):
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'run'):
        with pytest.raises(RunDirectoryError, match='part of the path is a file'), \
                RunDirectory(path).opened(config()):
            pass


def test_errors_of_other_folders_are_left_alone(tmp_path):
    place = RunDirectory(tmp_path / 'run')
    with pytest.raises(PermissionError), place.disk_errors('save the run'):
        raise PermissionError(errno.EACCES, 'Permission denied', str(tmp_path / 'cache'))
    for path in (tmp_path, place.path / 'log'):
        with pytest.raises(RunDirectoryError, match='permission denied'), place.disk_errors('save'):
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))


def test_result_refuses_what_json_cannot_say(tmp_path):
    place = RunDirectory(tmp_path)
    with place.opened(config()), pytest.raises(ValueError):
        place.finish('result.json', {'loss': float('nan')})
    assert not (tmp_path / 'result.json').exists()
