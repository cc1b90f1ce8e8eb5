"""A whole training on a card: losses as on NumPy, interrupted and resumed, and its limits."""
import json

import chainer
import numpy as np
import pytest

from chainer_kfac import training
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import device, memory

OPTIMIZERS = {
    'momentum_sgd': {'lr': 0.01},
    'adam': {'lr': 0.001},
    'kfac': {'lr': 0.005, 'damping': 0.01, 'weight_decay': 1e-4},
}


def config(xp, optimizer='momentum_sgd', **fields):
    return training.RunConfig(**{
        'dataset': 'digits', 'train_size': 64, 'test_size': 32, 'batch_size': 32, 'epochs': 2,
        'optimizer': optimizer, 'device': -1 if xp is np else 0, 'dropout': 0.0,
        **OPTIMIZERS[optimizer], **fields})


def log(directory):
    return json.loads((directory / 'log').read_text())


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_losses_are_those_of_numpy(xp, optimizer, tmp_path):
    found = training.run(config(xp, optimizer), tmp_path / 'here', progress='none')
    assert found['epochs'] == 2
    assert found['peak_memory_mb'] > 10
    if xp is np:
        return
    training.run(config(np, optimizer), tmp_path / 'there', progress='none')
    for ours, theirs in zip(log(tmp_path / 'here'), log(tmp_path / 'there'), strict=True):
        for key in ('main/loss', 'validation/main/loss'):
            assert ours[key] == pytest.approx(theirs[key], rel=0.02)


@pytest.mark.parametrize('optimizer', ['adam', 'kfac'])
def test_a_stopped_run_goes_on(xp, optimizer, tmp_path):
    """Stopped after its first epoch, the run ends as one that was never stopped."""
    settings = config(xp, optimizer, dropout=0.5)
    training.run(settings, tmp_path / 'whole', progress='none')

    class Stopped(Exception):
        pass

    def stop(entry):
        if entry['epoch'] == 1:
            raise Stopped

    with pytest.raises(Stopped):
        training.run(settings, tmp_path / 'parts', on_epoch=stop, progress='none')
    training.run(settings, tmp_path / 'parts', progress='none')
    whole, parts = log(tmp_path / 'whole'), log(tmp_path / 'parts')
    assert [entry['epoch'] for entry in parts] == [1, 2]
    for key in ('main/loss', 'validation/main/loss'):
        assert parts[-1][key] == pytest.approx(whole[-1][key], rel=1e-6 if xp is np else 1e-2)


@pytest.mark.gpu
def test_a_card_that_is_too_small_is_refused(monkeypatch, tmp_path):
    import cupy
    monkeypatch.setattr(memory, 'free', lambda where: 10 * 2 ** 20)
    with pytest.raises(ConfigError, match='MB of device memory.*10 MB are free.*lower batch_size'):
        training.run(config(cupy), tmp_path, progress='none')
    assert not (tmp_path / 'config.yaml').exists()


@pytest.mark.gpu
def test_the_device_has_a_name_and_memory():
    where = device.choose(0)
    assert where.xp is chainer.backends.cuda.cupy
    assert 2 ** 20 < memory.free(where) < 2 ** 50
