"""Every hyperparameter is checked, is read when it is used, and does what it says."""
import inspect

import chainer
import numpy as np
import pytest
import small_nets
from chainer.optimizer import HyperparameterProxy
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import Convolution2DBlock, LinearBlock, kronecker
from chainer_kfac.optimizers import KFAC, hyperparameters

SIGNATURE = {
    'lr': 0.001, 'momentum': 0.9, 'cov_ema_decay': 0.99, 'damping': 0.03, 'stab_coeff': 16.0,
    'constructor': None, 'pi_type': 'tracenorm', 'use_cholesky': True, 'loss_scale': None,
    'adjust_momentum': False, 'acc_iters': 1, 'ema_weighs': 'new', 'fisher': 'empirical',
    'factor_update_interval': 1, 'inverse_update_interval': 1, 'kl_clip': None,
}


def test_the_signature_is_the_documented_one():
    found = inspect.signature(KFAC).parameters
    assert {name: p.default for name, p in found.items() if name in SIGNATURE} == SIGNATURE
    positional = [name for name, p in found.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(SIGNATURE)[:11]


def test_every_hyperparameter_is_a_proxy():
    assert set(hyperparameters.NAMES) == set(SIGNATURE) - {'constructor'}
    for name in hyperparameters.NAMES:
        assert isinstance(inspect.getattr_static(KFAC, name), HyperparameterProxy)


@pytest.mark.parametrize('name, value', [
    ('lr', -0.1), ('lr', 'fast'), ('lr', np.nan), ('lr', True), ('momentum', -1),
    ('damping', -1e-9), ('damping', np.inf), ('cov_ema_decay', 1.1), ('cov_ema_decay', -0.1),
    ('stab_coeff', 0), ('loss_scale', 0), ('kl_clip', 0.0), ('pi_type', 'trace'),
    ('fisher', 'sampled'), ('ema_weighs', 'both'), ('acc_iters', 0), ('acc_iters', 1.0),
    ('factor_update_interval', 0), ('inverse_update_interval', True),
    ('inverse_update_interval', None)])
def test_a_bad_value_is_named(name, value):
    with pytest.raises(ConfigError, match=name) as error:
        KFAC(**{name: value})
    assert repr(value) in str(error.value)
    assert '\n' not in str(error.value)
    net = small_nets.build('linear')
    optimizer = KFAC().setup(net)
    setattr(optimizer, name, value)
    with pytest.raises(ConfigError, match=name):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6))


def test_a_bad_schedule_is_named():
    net = small_nets.build('linear')
    optimizer = KFAC(inverse_update_interval=lambda t: 0).setup(net)
    with pytest.raises(ConfigError, match='inverse_update_interval at iteration 0'):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6))


def optimized(steps=3, change=None, name='perceptron', **hyper):
    net = small_nets.build(name)
    optimizer = KFAC(**{'lr': 0.05, 'damping': 0.01, 'cov_ema_decay': 0.6, **hyper}).setup(net)
    for step in range(steps):
        if change is not None and step == 1:
            setattr(optimizer, *change)
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))
    return net, optimizer


@pytest.mark.parametrize('name, value', [
    ('lr', 0.5), ('momentum', 0.1), ('damping', 1.0), ('cov_ema_decay', 0.1), ('ema_weighs', 'old'),
    ('pi_type', 'none'), ('fisher', 'exact'), ('kl_clip', 1e-6), ('factor_update_interval', 2),
    ('inverse_update_interval', 2)])
def test_a_changed_value_acts_at_the_next_step(name, value):
    """Changing it after one step is neither never having changed it nor having had it all along."""
    changed = optimized(change=(name, value))[0].fc1.W.array
    unchanged = optimized()[0].fc1.W.array
    one_step = optimized(steps=1)[0].fc1.W.array
    assert_array_equal(optimized(steps=1, change=(name, value))[0].fc1.W.array, one_step)
    assert not np.allclose(changed, unchanged, rtol=1e-6)


def test_a_schedule_of_chainer_works():
    net = small_nets.build('perceptron')
    optimizer = KFAC(damping=0.1).setup(net)
    x, t = small_nets.images(12)
    iterator = chainer.iterators.SerialIterator(chainer.datasets.TupleDataset(x, t), 4)
    updater = chainer.training.StandardUpdater(iterator, optimizer, loss_func=small_nets.Loss(net))
    shift = chainer.training.extensions.ExponentialShift('damping', 0.5)
    trainer = chainer.training.Trainer(updater, (3, 'iteration'))
    trainer.extend(shift, trigger=(1, 'iteration'))
    trainer.run(show_loop_exception_msg=False)
    assert_allclose(optimizer.damping, 0.1 * 0.5 ** 3)


def test_intervals_count_from_the_last_refresh():
    net = small_nets.build('perceptron')
    seen = []

    def interval(t):
        seen.append(t)
        return 1 if t < 3 else 4

    optimizer = KFAC(factor_update_interval=interval, inverse_update_interval=3).setup(net)
    counts = []
    for step in range(9):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))
        counts.append((optimizer.diagnostics['factor_updates'],
                       optimizer.diagnostics['inverse_updates']))
    assert [factors for factors, _ in counts] == [1, 2, 3, 3, 3, 3, 4, 4, 4]
    assert [inverses for _, inverses in counts] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert set(seen) == set(range(9))


def test_no_factors_are_computed_between_refreshes(monkeypatch):
    net = small_nets.build('conv')
    optimizer = KFAC(factor_update_interval=5, inverse_update_interval=5).setup(net)
    calls = []
    for block_class, name in (
            (Convolution2DBlock, 'input_factor'), (LinearBlock, 'update_factors')):
        original = getattr(block_class, name)
        monkeypatch.setattr(block_class, name, lambda *args, call=original: (
            calls.append(1) or call(*args)))
    for step in range(5):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))
    assert len(calls) == 2


def test_inverses_of_unchanged_factors_are_not_recomputed(monkeypatch):
    """Unless the damping has changed."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(factor_update_interval=4).setup(net)
    calls = []
    original = kronecker.damped_sides
    monkeypatch.setattr(kronecker, 'damped_sides', lambda *args, **kwargs: (
        calls.append(1) or original(*args, **kwargs)))
    for step, expected in enumerate([2, 2, 4, 4, 6]):
        optimizer.damping = 0.03 if step < 2 else 0.02
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))
        assert len(calls) == expected


def test_momentum_tied_to_the_learning_rate():
    """momentum_t = momentum * lr_t / lr_0, so the second step at half the rate has half of it."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(lr=0.1, momentum=0.8, adjust_momentum=True).setup(net)
    loss = small_nets.Loss(net)
    x, t = small_nets.images(6)
    optimizer.update(loss, x, t)
    velocity = net.fc1.W.update_rule.state['v'].copy()
    optimizer.lr = 0.05
    optimizer.momentum = 0.6
    other, other_optimizer = small_nets.build('perceptron'), None
    other.copyparams(net)
    other_optimizer = KFAC(lr=0.05, momentum=0).setup(other)
    other_optimizer.update(small_nets.Loss(other), x, t)
    step = other.fc1.W.array - net.fc1.W.array
    before = net.fc1.W.array.copy()
    optimizer.cov_ema_decay = 1.0
    optimizer.update(loss, x, t)
    assert_allclose(net.fc1.W.array - before, 0.3 * velocity + step, rtol=1e-9)


def test_momentum_tied_to_a_learning_rate_that_warms_up_from_zero():
    net = small_nets.build('perceptron')
    optimizer = KFAC(lr=0, momentum=0.8, adjust_momentum=True).setup(net)
    before = net.fc1.W.array.copy()
    optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    assert_array_equal(net.fc1.W.array, before)
    for optimizer.lr in (0.1, 0.05):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    assert net.fc1.W.update_rule.first_lr == 0.1


def test_lr_of_one_parameter_may_differ():
    """As with any Chainer optimizer, an update rule's own hyperparameter comes first."""
    net, other = small_nets.build('perceptron'), small_nets.build('perceptron')
    before = net.fc1.W.array.copy()
    x, t = small_nets.images(6)
    KFAC(lr=0.1).setup(net).update(small_nets.Loss(net), x, t)
    optimizer = KFAC(lr=0.1).setup(other)
    other.fc1.W.update_rule.hyperparam.lr = 0.02
    optimizer.update(small_nets.Loss(other), x, t)
    assert_allclose(other.fc1.W.array - before, (net.fc1.W.array - before) / 5, rtol=1e-9)
    assert_array_equal(other.fc2.W.array, net.fc2.W.array)


def test_kl_clip_bounds_the_step():
    x, t = small_nets.images(6)
    clip = 1e-4
    raw = small_nets.build('perceptron')
    raw.cleargrads()
    small_nets.Loss(raw)(x, t).backward()
    for lr in (1e-5, 0.1, 10.0):
        steps = []
        for kl_clip in (None, clip):
            net = small_nets.build('perceptron')
            optimizer = KFAC(lr=lr, momentum=0, kl_clip=kl_clip).setup(net)
            optimizer.update(small_nets.Loss(net), x, t)
            steps.append([param.array - old.array for param, old in zip(
                net.params(), raw.params(), strict=True)])
        change = sum(-lr * (step * param.grad).sum()
                     for step, param in zip(steps[0], raw.params(), strict=True))
        scale = min(1.0, np.sqrt(clip / change))
        assert (scale < 1) == (lr > 1e-3)
        for found, wanted in zip(steps[1], steps[0], strict=True):
            assert_allclose(found, scale * wanted, rtol=1e-6, atol=1e-15)


def test_use_cholesky_or_not():
    assert_allclose(optimized(use_cholesky=False)[0].fc1.W.array, optimized()[0].fc1.W.array,
                    rtol=1e-9)


@pytest.mark.parametrize('fisher', ['empirical', 'mc', 'exact'])
def test_loss_scale_changes_nothing(fisher):
    wanted = optimized(fisher=fisher)[0]
    for scale in (2.0 ** -10, 2.0 ** 10):
        found = optimized(fisher=fisher, loss_scale=scale)[0]
        assert_allclose(found.fc1.W.array, wanted.fc1.W.array, rtol=1e-9)


def test_loss_scale_of_the_updater_is_the_optimizers():
    net = small_nets.build('perceptron')
    optimizer = KFAC().setup(net)
    x, t = small_nets.images(6)
    iterator = chainer.iterators.SerialIterator(chainer.datasets.TupleDataset(x, t), 6)
    updater = chainer.training.StandardUpdater(
        iterator, optimizer, loss_func=small_nets.Loss(net), loss_scale=64.0)
    assert optimizer.loss_scale == 64.0
    updater.update()
    wanted = small_nets.build('perceptron')
    KFAC().setup(wanted).update(small_nets.Loss(wanted), x, t)
    assert_allclose(net.fc1.W.array, wanted.fc1.W.array, rtol=1e-9)


def test_seeds_of_the_sampled_fisher():
    one, again, other = (optimized(fisher='mc', seed=seed)[0].fc1.W.array for seed in (1, 1, 2))
    assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_disabled_parameter_stays():
    net = small_nets.build('perceptron')
    net.fc1.disable_update()
    before = net.fc1.W.array.copy()
    optimizer = KFAC().setup(net)
    net.fc1.disable_update()
    moved = net.fc2.W.array.copy()
    optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    assert_array_equal(net.fc1.W.array, before)
    assert not np.array_equal(net.fc2.W.array, moved)
    assert optimizer.blocks[0].factors.A is None
