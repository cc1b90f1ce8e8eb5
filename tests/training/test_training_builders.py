"""From a configuration to data, model, optimizer and device."""
import chainer
import numpy as np
import pytest
from chainer.optimizer_hooks import WeightDecay
from training_support import ALONE, Tiny, config

from chainer_kfac import optimizers
from chainer_kfac.exceptions import ConfigError, MissingDependency
from chainer_kfac.training import builders, device, fields
from chainer_kfac.training.config import RunConfig

CLASSES = {'momentum_sgd': chainer.optimizers.MomentumSGD, 'adam': chainer.optimizers.Adam,
           'kfac': optimizers.KFAC}
OTHER = {'momentum': 0.77, 'beta1': 0.78, 'beta2': 0.79, 'eta': 0.8, 'eps': 0.81,
         'cov_ema_decay': 0.82, 'damping': 0.83, 'ema_weighs': 'old', 'fisher': 'mc',
         'factor_update_interval': 2, 'inverse_update_interval': 3, 'stab_coeff': 0.84,
         'pi_type': 'none', 'use_cholesky': False, 'adjust_momentum': True, 'kl_clip': 0.85}
"""A value that is not the default for each field that belongs to some optimizers only."""


@pytest.mark.parametrize('name', fields.OPTIMIZERS)
def test_every_hyperparameter_arrives(name):
    own = {key: OTHER[key] for key in fields.of_optimizer(RunConfig, name)}
    run = config(name, lr=0.123, weight_decay=0.05, **own)
    built = builders.optimizer(run, Tiny(10, 0.0))
    assert type(built) is CLASSES[name]
    assert getattr(built, builders.RATE[name]) == 0.123
    for key, value in own.items():
        assert getattr(built, key) == value, key
    rates = []
    built.call_hook = lambda hook: rates.append(hook.rate) if type(hook) is WeightDecay else None
    built.call_hooks('pre')
    assert rates == [0.05]


def test_kfac_has_the_fields_of_the_run_too():
    run = config('kfac', loss_scale=4.0, acc_iters=2)
    built = builders.optimizer(run, Tiny(10, 0.0))
    assert (built.loss_scale, built.acc_iters) == (4.0, 2)


def test_no_weight_decay_is_no_hook():
    built = builders.optimizer(config(weight_decay=0.0), Tiny(10, 0.0))
    built.call_hook = None  # any hook would need it
    built.call_hooks('pre')


def test_loss_and_accuracy_are_never_in_half_precision():
    y = np.zeros((4, 10), np.float16)
    t = np.zeros(4, np.int32)
    model = builders.model(config(), 10)
    assert model.lossfun(y, t).dtype == np.float32
    assert model.accfun(y, t).dtype == np.float32
    assert model.lossfun(y.astype(np.float64), t).dtype == np.float64


def test_validation_is_plain_and_training_is_augmented():
    data = builders.data(config(), chainer.get_device('@numpy'), ALONE)
    x, _ = data.train.next()
    assert x.shape == (32, 3, 28, 28)
    x, t = data.validation.next()
    assert x.shape == (90, 3, 32, 32)
    assert np.array_equal(t, data.source.test_t)
    expected = (data.source.test_x - data.source.mean[:, None, None]) / (
        data.source.std[:, None, None])
    np.testing.assert_allclose(x, expected, atol=1e-5)
    plain = builders.data(config(augment=False), chainer.get_device('@numpy'), ALONE)
    assert plain.train.next()[0].shape == (32, 3, 32, 32)


def test_device():
    cpu = device.choose(-1)
    assert cpu.xp is np
    assert device.name(cpu).endswith(' cores)')
    assert device.fits(cpu, 10**15)
    if device.count_gpus() == 0:
        assert device.choose('auto').xp is np
    with pytest.raises((ConfigError, MissingDependency)):
        device.choose(device.count_gpus() + 900)


@pytest.mark.gpu
def test_gpu():
    gpu = device.choose('auto')
    assert gpu.xp is chainer.backends.cuda.cupy
    assert device.name(gpu).endswith('(GPU 0)')
    assert device.fits(gpu, 1)
    assert not device.fits(gpu, 10**15)
    data = builders.data(config(), gpu, ALONE)
    assert all(isinstance(array, gpu.xp.ndarray) for array in data.train.next())
