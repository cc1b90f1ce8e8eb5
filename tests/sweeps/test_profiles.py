"""Profiles: length, scaled decay epochs, and which data set a sweep trains on."""
import logging

import pytest

from chainer_kfac import datasets
from chainer_kfac.exceptions import ConfigError, DataError
from chainer_kfac.sweeps import plan, profiles

CELL = {'optimizer': 'momentum_sgd', 'batch_size': 128, 'lr': 0.1, 'lr_decay': 0.5,
        'lr_decay_epoch': 70}


@pytest.fixture
def no_cifar10(monkeypatch):
    """``datasets.load`` as on a machine without CIFAR-10 and without a network."""
    asked = []

    def load(name, train_size=None, test_size=None):
        asked.append(name)
        if name == 'cifar10':
            raise DataError('CIFAR-10 is not in the cache and cannot be downloaded')

    monkeypatch.setattr(datasets, 'load', load)
    return asked


@pytest.mark.parametrize(('name', 'epochs', 'decay_epoch', 'train_size'), [
    ('paper', 200, 70, None), ('short', 20, 7, None), ('smoke', 2, 70, 4096)])
def test_profile_sets_length_and_data(name, epochs, decay_epoch, train_size):
    fields = plan.all_profiles()[name].apply(CELL)
    assert fields['profile'] == name
    assert (fields['epochs'], fields['lr_decay_epoch'], fields['train_size']) == (
        epochs, decay_epoch, train_size)


@pytest.mark.parametrize(('scale', 'expected'), [(0.1, 7), (0.01, 1), (0.05, 4), (1, 70)])
def test_decay_epoch_is_rounded_and_at_least_1(scale, expected):
    profile = profiles.Profile('p', epochs=1, lr_decay_epoch_scale=scale)
    assert profile.apply(CELL)['lr_decay_epoch'] == expected


def test_a_cell_without_decay_stays_without():
    cell = {'optimizer': 'adam', 'batch_size': 128, 'lr': 0.1}
    assert 'lr_decay_epoch' not in profiles.Profile('p', 1, lr_decay_epoch_scale=0.1).apply(cell)


def test_smoke_never_decays():
    smoke = plan.all_profiles()['smoke']
    for cell, _ in plan.paper():
        updates_an_epoch = smoke.train_size / cell.batch_size
        epochs = max(smoke.epochs, smoke.min_updates / updates_an_epoch)
        assert smoke.apply(cell.settings)['lr_decay_epoch'] > epochs


def test_auto_follows_the_gpus():
    known = plan.all_profiles()
    assert profiles.choose('auto', known, gpus=[]).name == 'smoke'
    assert profiles.choose('auto', known, gpus=['0']).name == 'paper'
    assert profiles.choose('short', known, gpus=['0']).name == 'short'


def test_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="'shrot'.*paper, short, brief, smoke"):
        profiles.choose('shrot', plan.all_profiles(), gpus=[])


@pytest.mark.parametrize(('entry', 'says'), [
    ('{epochs: 1, epoch: 2}', 'unknown key epoch .*did you mean epochs'),
    ('{train_size: 100}', 'must be a mapping with "epochs"'),
    ('null', 'must be a mapping with "epochs", got None'),
    ('{epochs: 1, train_size: 1e3}', "train_size must be .*, got '1e3'"),
    ('{epochs: 0}', 'epochs must be .*, got 0'),
    ('{epochs: 1, lr_decay_epoch_scale: .inf}', 'lr_decay_epoch_scale must be .*, got inf')])
def test_a_bad_profile_is_refused_by_name(tmp_path, entry, says):
    path = tmp_path / 'profiles.yaml'
    path.write_text('format: 1\nprofiles: {mine: ' + entry + '}\n')
    with pytest.raises(ConfigError, match=says) as caught:
        profiles.load(path)
    assert 'profile mine of {}'.format(path) in str(caught.value)


def test_numbers_that_yaml_leaves_as_text_are_read(tmp_path):
    path = tmp_path / 'profiles.yaml'
    path.write_text('format: 1\nprofiles: {mine: {epochs: 1, lr_decay_epoch_scale: 25e-3}}\n')
    assert profiles.load(path)['mine'].lr_decay_epoch_scale == 0.025


def test_only_smoke_falls_back_and_says_so(no_cifar10, caplog):
    known = plan.all_profiles()
    with caplog.at_level(logging.WARNING):
        assert profiles.dataset(None, known['smoke']) == 'digits'
    assert 'Stand-in data' in caplog.text
    assert 'digits instead of CIFAR-10' in caplog.text
    assert no_cifar10 == ['cifar10', 'digits']
    for name in ('short', 'brief', 'paper'):
        with pytest.raises(DataError):
            profiles.dataset(None, known[name])


def test_a_named_dataset_is_never_replaced(no_cifar10):
    smoke = plan.all_profiles()['smoke']
    with pytest.raises(DataError):
        profiles.dataset('cifar10', smoke)
    assert profiles.dataset('digits', smoke) == 'digits'
