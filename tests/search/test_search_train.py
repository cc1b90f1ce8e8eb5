"""The objective ``train``: the same run that ``chainer-kfac train`` makes."""
import signal

import bson
import pytest

from chainer_kfac.communicators.ranks import Alone
from chainer_kfac.exceptions import ConfigError, DivergedError
from chainer_kfac.search import evaluation, experiments, objectives, options, space
from chainer_kfac.search.documents import DONE, NEW
from chainer_kfac.search.objectives.train import Train
from chainer_kfac.search.progress import Progress
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.training import RunConfig
from chainer_kfac.training import run as train

SETTINGS = {'optimizer': 'momentum_sgd', 'batch_size': 32, 'epochs': 2, 'dataset': 'digits',
            'train_size': 64, 'test_size': 32, 'profile': 'short', 'lr_decay_epoch_scale': 0.1,
            'seed': 0, 'select_on': 'test', 'momentum': 0.9}
VALUES = {'lr': 0.01, 'lr_decay': 0.5, 'lr_decay_epoch': 70, 'weight_decay': 1e-4}


def progress(folder, decide=lambda curve: None):
    return Progress(folder, -1, Alone(), Stopping(), decide)


def test_the_run_of_a_trial_in_the_units_of_table_1():
    config = Train().config(VALUES, SETTINGS)
    assert (config.lr, config.lr_decay_epoch, config.epochs) == (0.01, 7, 2)
    assert (config.experiment, config.profile, config.select_on) == ('search', 'short', 'test')
    assert Train().epochs({**SETTINGS, 'min_updates': 8}) == 4  # two updates an epoch


def test_the_loss_is_that_of_the_run(tmp_path):
    told = progress(tmp_path / 'trial')
    result = Train().evaluate(VALUES, SETTINGS, told)
    config = Train().config(VALUES, SETTINGS, -1)
    plain = train(config, tmp_path / 'plain', progress='none')
    assert result['loss'] == 1 - plain['best_val_acc']
    assert (result['epochs'], result['pruned']) == (2, None)
    assert [entry['epoch'] for entry in told.curve] == [1, 2]
    assert min(entry['loss'] for entry in told.curve) == result['loss']
    assert told.curve[0]['main_loss'] > 0
    again = Train().evaluate(VALUES, SETTINGS, progress(tmp_path / 'trial'))
    assert again == result  # finished, not delivered: the record is read


def test_a_pruned_run_ends_with_a_result(tmp_path):
    result = Train().evaluate(VALUES, SETTINGS, progress(tmp_path, lambda curve: 'median'))
    assert (result['epochs'], result['pruned']) == (1, 'median')
    assert 0 <= result['loss'] <= 1


def test_divergence_is_a_failure_and_stays_one(tmp_path):
    values = {**VALUES, 'lr': 1e6}
    for _ in range(2):
        with pytest.raises(DivergedError):
            Train().evaluate(values, SETTINGS, progress(tmp_path))
    task = evaluation.Task('train', values, SETTINGS)
    outcome = evaluation.evaluate(task, progress(tmp_path), Alone(), Stopping())
    assert (outcome.kind, outcome.result['reason']) == (evaluation.FAILED, 'diverged')


def test_a_folder_that_another_attempt_holds_is_left_alone(tmp_path):
    from chainer_kfac.training.run_directory import RunDirectory
    config = Train().config(VALUES, SETTINGS, -1)
    with RunDirectory(tmp_path / '0000').opened(config):
        result = Train().evaluate(VALUES, SETTINGS, progress(tmp_path / '0000'))
    assert result['epochs'] == 2
    assert (tmp_path / '0000-anew' / 'result.json').exists()


@pytest.mark.parametrize('change', [{'epochs': 10**6}, {'nonsense': 1}, {'experiment': 'x'},
                                    {'lr_decay_epoch_scale': 2}])
def test_settings_are_checked(change):
    with pytest.raises(ConfigError):
        Train().check_settings({**SETTINGS, **change})


@pytest.mark.parametrize('change', [{'lr': -1.0}, {'beta1': 0.9}, {'dataset': 'a/b'}])
def test_values_are_checked(change):
    with pytest.raises(ConfigError):
        Train().check_values({**VALUES, **change}, SETTINGS)


def test_the_images_have_a_digest():
    assert len(objectives.find('train').data(SETTINGS)) >= 16
    assert RunConfig(optimizer='adam', epochs=1, lr=1e-3).dataset == 'cifar10'


def test_the_longest_curve_fits_into_a_document(tmp_path):
    told = progress(tmp_path)
    result = Train().evaluate(VALUES, {**SETTINGS, 'epochs': 1}, told)
    most = objectives.train._LARGEST['epochs']
    assert len(bson.encode({'result': result, 'curve': told.curve * most})) < 16e6


@pytest.mark.mongo
def test_a_stopped_worker_leaves_a_snapshot_and_the_next_goes_on(nx, nx_store, start_worker,
                                                                 eventually, tmp_path):
    settings = {**SETTINGS, 'epochs': 5}
    varied = space.Space((space.Dimension('lr', 'loguniform', 1e-4, 1.0),))
    experiment = experiments.begin(nx_store, 'test', 'train',
                                   {**settings, 'lr_decay_epoch': 70, 'lr_decay': 0.5}, varied,
                                   options.search(trials=1))
    nx_store.jobs.insert_one(experiment.new_trial(0, {'lr': 0.01}, 'x'))
    first = start_worker(nx.uri)
    eventually(lambda: (nx_store.jobs.find_one()['last'] or {}).get('epoch', 0) >= 1, 90)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 143, first.log.read_text()
    trial = nx_store.jobs.find_one()
    assert trial['state'] == NEW
    reached = trial['last']['epoch']
    folder = tmp_path / 'runs/search/test/trials-{}/0000'.format(experiment.uid)
    assert list(folder.glob('snapshot_iter_*'))
    second = start_worker(nx.uri, '--max-trials', 1)
    assert second.wait(90) == 0, second.log.read_text()
    assert 'resuming from' in second.log.read_text()
    trial = nx_store.jobs.find_one()
    assert trial['state'] == DONE
    assert [entry['epoch'] for entry in trial['curve']] == list(range(1, 6))
    assert 1 <= reached < 5
    alone = train(Train().config({'lr': 0.01}, experiment.settings, 'auto'), tmp_path / 'alone',
                  progress='none')
    assert trial['result']['loss'] == 1 - alone['best_val_acc']
