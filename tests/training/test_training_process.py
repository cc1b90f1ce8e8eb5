"""``chainer-kfac train`` as a real process: killed, interrupted, out of disk, given bad input."""
import json
import signal

import pytest
from training_support import (
    assert_same_state,
    command,
    config,
    finish_and_keep,
    last_state,
    without_times,
)

from chainer_kfac import training
from chainer_kfac.exceptions import DivergedError
from chainer_kfac.training import run_directory

OPTIMIZERS = ('momentum_sgd', 'adam', 'kfac')


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', finish_and_keep)


def path(config, root):
    return run_directory.path(config, root)


def one_sentence(done):
    """The only thing that a failed command says after what the log says, without a traceback."""
    assert 'Traceback' not in done.stderr, done.stderr
    assert done.stdout == ''
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('chainer-kfac train: ')
    return last


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_killed_and_interrupted_equals_uninterrupted(tmp_path, optimizer):
    run = config(optimizer)
    training.run(run, path(run, tmp_path / 'whole'))
    cut = tmp_path / 'cut'
    killed = command('SIGKILL@10', run, cut)
    assert killed.returncode == -signal.SIGKILL
    assert not (path(run, cut) / 'result.json').exists()
    asked = command('SIGTERM@16', run, cut)
    assert asked.returncode == 143
    assert 'interrupted at iteration 16, snapshot saved in' in one_sentence(asked)
    resumed = command('none', run, cut)
    assert resumed.returncode == 0
    assert 'snapshot_iter_16' in resumed.stderr
    assert_same_state(last_state(path(run, cut)), last_state(path(run, tmp_path / 'whole')))
    logs = [without_times(json.loads((path(run, root) / 'log').read_text()))
            for root in (cut, tmp_path / 'whole')]
    assert logs[0] == logs[1]


@pytest.mark.parametrize(('name', 'code'), [('SIGINT', 130), ('SIGUSR1', 138)])
def test_exit_code_of_a_signal(tmp_path, name, code):
    done = command(name + '@3', config(), tmp_path)
    assert done.returncode == code
    assert 'finishing this step' in done.stderr
    assert 'the same command goes on from there' in one_sentence(done)
    assert (path(config(), tmp_path) / 'snapshot_iter_3').exists()


def test_a_full_disk_loses_nothing(tmp_path):
    run = config(epochs=2)
    training.run(run, path(run, tmp_path / 'whole'))
    size = (path(run, tmp_path / 'whole') / 'snapshot_iter_13').stat().st_size
    command('SIGKILL@9', run, tmp_path / 'cut')
    held = path(run, tmp_path / 'cut')
    before = {each.name: each.read_bytes() for each in held.iterdir()}
    full = command('none', run, tmp_path / 'cut', file_limit=size // 2)
    assert full.returncode == 2
    assert 'cannot save the run in {}: the file size limit'.format(held) in one_sentence(full)
    after = {each.name: each.read_bytes() for each in held.iterdir()}
    assert after['snapshot_iter_7'] == before['snapshot_iter_7']
    assert set(after) == set(before)  # no half of a snapshot, no temporary folder
    resumed = command('none', run, tmp_path / 'cut')
    assert resumed.returncode == 0
    assert_same_state(last_state(held), last_state(path(run, tmp_path / 'whole')))


def test_a_damaged_data_cache_is_one_sentence_and_exit_code_2(tmp_path):
    cache = tmp_path / 'pfnet' / 'chainer' / 'cifar' / 'cifar-10.npz'
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b'not an archive')
    run = config(dataset='cifar10')
    done = command('none', run, tmp_path / 'runs', env={'CHAINER_DATASET_ROOT': str(tmp_path)})
    assert done.returncode == 2
    assert str(cache) in one_sentence(done)
    assert not path(run, tmp_path / 'runs').exists()
    assert cache.read_bytes() == b'not an archive'


def test_a_changed_configuration_and_a_finished_run(tmp_path):
    training.run(config(epochs=1), path(config(), tmp_path))
    result = path(config(), tmp_path) / 'result.json'
    before = result.read_bytes()
    changed = command('none', config(epochs=1, lr=0.2), tmp_path)
    assert changed.returncode == 2
    assert 'holds a run with lr 0.05, not 0.2' in one_sentence(changed)
    again = command('SIGKILL@1', config(epochs=1), tmp_path)  # no first iteration to be killed in
    assert again.returncode == 0
    assert 'is finished' in again.stderr
    assert result.read_bytes() == before


def test_divergence_is_exit_code_1(tmp_path):
    run = config(lr=1e30)
    done = command('none', run, tmp_path)
    assert done.returncode == 1
    assert 'training diverged in epoch 1, iteration' in one_sentence(done)
    with pytest.raises(DivergedError):
        training.run(run, path(run, tmp_path))
