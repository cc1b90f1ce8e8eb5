"""training.run: what a run computes and leaves behind, on small runs in this process."""
import dataclasses
import json
import signal
import threading
import types

import chainer
import numpy as np
import pytest
from training_support import ALONE, config, without_times

from chainer_kfac import datasets, training
from chainer_kfac.exceptions import ConfigError, DataError, DivergedError, RunDirectoryError
from chainer_kfac.training import RunConfig, builders, extensions

OPTIMIZERS = ('momentum_sgd', 'adam', 'kfac')


def read_log(path):
    return json.loads((path / 'log').read_text())


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_record_of_a_finished_run(tmp_path, optimizer):
    run = config(optimizer)
    result = training.run(run, tmp_path)
    assert result == json.loads((tmp_path / 'result.json').read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        '.lock', 'config.yaml', 'log', 'result.json']
    assert RunConfig.load(tmp_path / 'config.yaml') == run
    log = read_log(tmp_path)
    assert [entry['epoch'] for entry in log] == [1, 2, 3]
    assert [entry['iteration'] for entry in log] == [7, 13, 19]
    accuracies = [entry['validation/main/accuracy'] for entry in log]
    assert result['best_val_acc'] == max(accuracies)
    assert result['best_epoch'] == 1 + accuracies.index(max(accuracies))
    assert result['last_val_acc'] == accuracies[-1]
    assert (result['epochs'], result['iterations']) == (3, 19)
    assert result['wall_time'] == log[-1]['elapsed_time']
    assert result['seconds_per_epoch'] == pytest.approx(result['wall_time'] / 3)
    assert result['peak_memory_mb'] > 50
    assert 'cores' in result['device']
    assert {'python', 'numpy', 'chainer', 'chainer_kfac', 'scipy', 'numba', 'blas'} <= set(
        result['versions'])
    assert result['dataset']['name'] == 'digits'
    assert len(result['dataset']['digest']) == 64
    assert (result['dataset']['train_size'], result['dataset']['test_size']) == (200, 90)
    assert result['protocol'].startswith('tiny trained on 200 images of digits')
    assert (result['select_on'], result['seed']) == ('test', 0)
    assert result['config_digest'] == run.digest
    assert 'stopped' not in result
    assert ('kfac' in result) == (optimizer == 'kfac')
    if optimizer == 'kfac':
        assert result['kfac']['updates'] == 19
        assert log[-1]['kfac/skipped_updates'] == 0
    assert 'test_acc' not in result


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_same_seed_twice_equal_and_another_seed_different(tmp_path, optimizer):
    logs = []
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        np.random.rand()  # what a caller draws before must not matter
        training.run(config(optimizer, seed=seed, epochs=1), tmp_path / name)
        logs.append(without_times(read_log(tmp_path / name)))
    assert logs[0] == logs[1]
    assert logs[0][0]['main/loss'] != logs[2][0]['main/loss']


def test_a_finished_run_is_read_and_not_computed(tmp_path, monkeypatch):
    result = training.run(config(epochs=1), tmp_path)
    monkeypatch.setattr(datasets, 'load', None)  # anything computed would need it
    assert training.run(config(epochs=1), tmp_path) == result
    with pytest.raises(RunDirectoryError, match='epochs 1, not 2'):
        training.run(config(epochs=2), tmp_path)


def test_force_trains_again(tmp_path):
    training.run(config(epochs=1), tmp_path)
    result = training.run(config(epochs=2), tmp_path, force=True)
    assert result['epochs'] == 2
    assert len(read_log(tmp_path)) == 2


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_learning_rate_decays_at_its_epochs(tmp_path, optimizer):
    training.run(config(optimizer, lr=0.01, lr_decay=0.5, lr_decay_epoch=2, epochs=5), tmp_path)
    assert [entry['lr'] for entry in read_log(tmp_path)] == [0.01, 0.01, 0.005, 0.005, 0.0025]


def test_epochs_reach_min_updates(tmp_path):
    result = training.run(config(epochs=1, min_updates=15), tmp_path)  # 6.25 updates an epoch
    assert result['epochs'] == 3
    assert result['iterations'] == 19
    assert config(epochs=4, min_updates=15).length(200) == 4
    assert config(batch_size=50, epochs=1, min_updates=8).length(200) == 2


def test_validation_counts_every_image_once(tmp_path, monkeypatch):
    monkeypatch.setattr(builders, 'EVALUATION_BATCH', 40)  # of 90 images: 40, 40, 10
    training.run(config(epochs=1), tmp_path / 'cut')
    monkeypatch.setattr(builders, 'EVALUATION_BATCH', 90)
    training.run(config(epochs=1), tmp_path / 'whole')
    cut, whole = read_log(tmp_path / 'cut')[0], read_log(tmp_path / 'whole')[0]
    assert cut['validation/main/accuracy'] == whole['validation/main/accuracy']
    assert (cut['validation/main/accuracy'] * 90) == pytest.approx(
        round(cut['validation/main/accuracy'] * 90), abs=1e-12)
    assert cut['validation/main/loss'] == pytest.approx(whole['validation/main/loss'], rel=1e-6)


def test_the_callers_world_is_as_before(tmp_path):
    np.random.seed(5)
    expected = np.random.RandomState(5).rand()
    handler = signal.getsignal(signal.SIGINT)
    training.run(config(epochs=1, dtype='float64'), tmp_path)
    assert np.random.rand() == expected
    assert signal.getsignal(signal.SIGINT) is handler
    assert chainer.config.dtype == np.float32


@pytest.mark.parametrize('dtype', ['float16', 'mixed16', 'float64'])
@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_other_precisions(tmp_path, optimizer, dtype):
    training.run(config(optimizer, dtype=dtype, epochs=2, dropout=0.0), tmp_path / 'other')
    training.run(config(optimizer, epochs=2, dropout=0.0), tmp_path / 'float32')
    for other, reference in zip(read_log(tmp_path / 'other'), read_log(tmp_path / 'float32'),
                                strict=True):
        assert other['main/loss'] == pytest.approx(reference['main/loss'], rel=0.05)


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_four_micro_batches_are_one_batch(tmp_path, optimizer):
    run = config(optimizer, dtype='float64', dropout=0.0, loss_scale=8.0, epochs=2)
    training.run(run, tmp_path / 'whole')
    training.run(dataclasses.replace(run, acc_iters=4), tmp_path / 'parts')
    for parts, whole in zip(read_log(tmp_path / 'parts'), read_log(tmp_path / 'whole'),
                            strict=True):
        for key in without_times([whole])[0]:
            assert parts[key] == pytest.approx(whole[key], rel=1e-9), key


@pytest.mark.parametrize('acc_iters', [1, 4])
def test_loss_scale_reaches_the_gradients(tmp_path, acc_iters):
    run = config(loss_scale=1e39, acc_iters=acc_iters, dropout=0.0)  # more than float32 holds
    with pytest.raises(DivergedError), np.errstate(all='ignore'):
        training.run(run, tmp_path)


def test_the_seed_decides_order_and_augmentation(tmp_path):
    device = chainer.get_device('@numpy')

    def first(seed, augment):
        return builders.data(config(seed=seed, augment=augment), device, ALONE).train
    plain = [first(seed, False).next()[1] for seed in (0, 0, 1)]
    assert np.array_equal(plain[0], plain[1])
    assert not np.array_equal(plain[0], plain[2])
    images = np.zeros((2, 3, 32, 32), np.uint8)
    images[:, :, 8:20, 8:14] = 255
    augmented = [first(seed, True)._transform(images, np.array([3, 4]), 0) for seed in (0, 0, 1)]
    assert np.array_equal(augmented[0], augmented[1])
    assert not np.array_equal(augmented[0], augmented[2])


# Choosing on held-out images --------------------------------------------------------------------

def test_holdout_chooses_and_the_test_images_come_once(tmp_path, monkeypatch):
    passes = []
    reset = datasets.BatchIterator.reset

    def counted(self):
        reset(self)
        passes.append(len(self._x))
    monkeypatch.setattr(datasets.BatchIterator, 'reset', counted)
    run = config(select_on='holdout', epochs=4, lr=0.1, test_size=77)
    result = training.run(run, tmp_path)
    # 20 of 200 images are held out: one pass at building, one an epoch; test: building and the end
    assert passes.count(20) == 1 + 4
    assert passes.count(77) == 1 + 1
    assert result['dataset']['train_size'] == 180
    assert 'validated after each epoch on 20 held-out training images' in result['protocol']
    assert result['best_val_acc'] * 20 == pytest.approx(round(result['best_val_acc'] * 20))
    assert result['test_acc'] * 77 == pytest.approx(round(result['test_acc'] * 77))


def test_every_seed_holds_out_the_same_images():
    device = chainer.get_device('@numpy')
    held = [builders.data(config(select_on='holdout', seed=seed), device, ALONE).source.holdout_x
            for seed in (0, 1)]
    assert len(held[0]) == 20
    assert np.array_equal(held[0], held[1])


def test_of_equal_epochs_the_first_is_the_best():
    best = extensions.BestEpoch()
    for epoch, accuracy in enumerate([0.3, 0.5, 0.4, 0.5], 1):
        best(types.SimpleNamespace(observation={'validation/main/accuracy': accuracy},
                                   updater=types.SimpleNamespace(epoch=epoch)))
    assert (best.epoch, best.accuracy) == (2, 0.5)


def test_test_accuracy_is_that_of_the_best_epoch(tmp_path, monkeypatch):
    # a rate that grows after epoch 2 ruins the model: the last epoch is not the best
    run = config(select_on='holdout', epochs=4, lr=0.02, lr_decay=300.0, dropout=0.0)
    result = training.run(run, tmp_path / 'four')
    best = result['best_epoch']
    assert best < 4
    short = training.run(dataclasses.replace(run, epochs=best), tmp_path / 'best')
    assert result['test_acc'] == short['test_acc']
    assert result['last_val_acc'] < result['best_val_acc']


# Ending early -----------------------------------------------------------------------------------

def test_on_epoch_sees_every_entry_and_may_stop_the_run(tmp_path):
    seen = []

    def on_epoch(entry):
        seen.append(entry)
        np.random.rand()  # must not disturb the dropout masks
        if entry['epoch'] == 2:
            raise training.StopRun('no hope')
    result = training.run(config(epochs=5), tmp_path, on_epoch=on_epoch)
    assert seen == read_log(tmp_path)
    assert result['stopped'] == 'no hope'
    assert result['epochs'] == 2
    training.run(config(epochs=5), tmp_path / 'free')
    assert without_times(read_log(tmp_path / 'free')[:2]) == without_times(seen)


def test_divergence_is_recorded_and_not_repeated(tmp_path):
    run = config(lr=1e30)
    with pytest.raises(DivergedError, match='diverged in epoch 1, iteration [0-9]+: main/loss is'):
        training.run(run, tmp_path)
    record = json.loads((tmp_path / 'diverged.json').read_text())
    assert record['iteration'] <= 7
    assert record['config_digest'] == run.digest
    assert not (tmp_path / 'result.json').exists()
    assert not list(tmp_path.glob('snapshot*'))
    with pytest.raises(DivergedError, match='--force'):
        training.run(run, tmp_path)
    with pytest.raises(RunDirectoryError, match='lr 1e[+]30, not 0.05'):
        training.run(config(), tmp_path)
    assert training.run(config(epochs=1), tmp_path, force=True)['epochs'] == 1


def test_a_parameter_that_is_not_finite_is_never_stored(tmp_path, monkeypatch):
    def poison(trainer):  # between the last loss of the epoch and the snapshot
        next(trainer.updater.get_optimizer('main').target.params()).array[...] = np.nan
    monkeypatch.setattr(training.extensions.peak_memory.PeakMemory, '__call__',
                        lambda self, trainer: poison(trainer))
    with pytest.raises(DivergedError, match='epoch 1, iteration 7: a parameter is not finite'):
        training.run(config(), tmp_path)
    assert not list(tmp_path.glob('snapshot*'))


def test_outside_the_main_thread_signals_are_left_alone(tmp_path):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(training.run(config(epochs=1), tmp_path)))
    thread.start()
    thread.join()
    assert results[0]['epochs'] == 1


# Refusals before anything is written ------------------------------------------------------------

@pytest.mark.parametrize(('fields', 'error', 'sentence'), [
    ({'dataset': 'cifar11'}, ConfigError, 'cifar11.*cifar10'),
    ({'model': 'lenet6'}, ConfigError, 'lenet6.*lenet5'),
    ({'device': 900}, Exception, '900|cupy'),
    ({'batch_size': 201}, ConfigError, 'batch_size must be at most .* 200, got 201'),
    ({'train_size': 5, 'select_on': 'holdout', 'batch_size': 1}, DataError, 'hold'),
])
def test_what_cannot_be_built_leaves_no_trace(tmp_path, fields, error, sentence):
    with pytest.raises(error, match=sentence):
        training.run(config(**fields), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_progress_lines(tmp_path, caplog):
    caplog.set_level('INFO')
    training.run(config(epochs=2), tmp_path, progress='lines')
    lines = [record.message for record in caplog.records if record.message.startswith('epoch')]
    assert len(lines) == 2
    assert lines[0].startswith('epoch 1/2  loss ')
    assert lines[1].endswith('0:00:00 left')


def test_progress_bar(tmp_path, capsys):
    training.run(config(epochs=2), tmp_path, progress='bar')
    printed = capsys.readouterr().err
    assert printed.count('validation/main/accuracy') == 1
    assert '\x1b[J1           7           ' in printed
