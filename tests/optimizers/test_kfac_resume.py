"""Interrupted and resumed equals uninterrupted, bit for bit."""
import chainer
import numpy as np
import pytest
import small_nets
from chainer import training
from chainer.training import extensions
from numpy.testing import assert_array_equal

from chainer_kfac.fisher.path import Path
from chainer_kfac.optimizers import KFAC

CASES = {
    'plain': ('conv', 'float32', {}),
    'groups': ('conv, groups', 'float64', {}),
    'lazy': ('conv, lazy', 'float32', {}),
    'shared': ('shared', 'float32', {}),
    'intervals': ('conv', 'float32', {'factor_update_interval': 2, 'inverse_update_interval': 3}),
    'schedule': ('conv', 'float32', {'inverse_update_interval': lambda t: 1 + t // 2}),
    'slow averages': ('perceptron', 'float32', {'cov_ema_decay': 0.9, 'ema_weighs': 'old'}),
    'sampled': ('perceptron', 'float32', {'fisher': 'mc', 'seed': 4}),
    'exact': ('perceptron', 'float32', {'fisher': 'exact'}),
    'momentum tied to lr': ('perceptron', 'float32', {'adjust_momentum': True}),
    'accumulation': ('conv', 'float32', {'acc_iters': 3}),
    'scaled micro-batches': ('conv', 'float32', {'acc_iters': 3, 'loss_scale': 8.0}),
    'rows': ('perceptron', 'float32', {'paths': 'rows'}),
    'rows in micro-batches': ('perceptron', 'float32', {'paths': 'rows', 'acc_iters': 3}),
    'rows at intervals': ('perceptron', 'float32', {
        'paths': 'rows', 'factor_update_interval': 3, 'inverse_update_interval': 3}),
    'sampled rows': ('shared', 'float32', {'paths': {'/fc': 'rows'}, 'fisher': 'mc'}),
    'thin solves': ('perceptron', 'float32', {
        'paths': Path(solve=True, thin=True), 'inverse_update_interval': 3}),
    'half precision': ('conv', 'float16', {'loss_scale': 128.0}),
}


def start(name, dtype, hyper, *, fresh=False):
    """Network and optimizer; a ``fresh`` network has seen no data, so lazy sizes are unknown."""
    if fresh:
        with chainer.using_config('dtype', np.dtype(dtype)):
            net = small_nets.NETS[name]()
    else:
        net = small_nets.build(name, dtype)
    optimizer = KFAC(lr=0.05, damping=0.01, **hyper)
    return net, optimizer.setup(net)


def run(net, optimizer, dtype, steps):
    for step in steps:
        optimizer.lr = 0.05 * 0.9 ** step
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, dtype, seed=step))


def assert_same_state(net, optimizer, other, other_optimizer):
    for (name, param), (other_name, other_param) in zip(
            sorted(net.namedparams()), sorted(other.namedparams()), strict=True):
        assert name == other_name
        assert_array_equal(param.array, other_param.array, err_msg=name)
        assert_array_equal(param.update_rule.state['v'], other_param.update_rule.state['v'])
    for block, other_block in zip(optimizer.blocks, other_optimizer.blocks, strict=True):
        assert block.factors.path == other_block.factors.path
        assert_array_equal(block.A, other_block.A)
        assert_array_equal(block.G, other_block.G)
    assert optimizer.t == other_optimizer.t
    assert dict(optimizer.diagnostics) == dict(other_optimizer.diagnostics)


@pytest.mark.parametrize('case', list(CASES))
@pytest.mark.parametrize('interrupted_after', [1, 2, 4])
def test_through_npz(case, interrupted_after, tmp_path):
    name, dtype, hyper = CASES[case]
    net, optimizer = start(name, dtype, hyper)
    run(net, optimizer, dtype, range(interrupted_after))
    chainer.serializers.save_npz(tmp_path / 'net.npz', net)
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    run(net, optimizer, dtype, range(interrupted_after, 8))

    other, other_optimizer = start(name, dtype, hyper, fresh=True)
    with chainer.using_config('dtype', np.dtype(dtype)):    # of parameters of unknown size
        chainer.serializers.load_npz(tmp_path / 'net.npz', other)
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', other_optimizer)
    run(other, other_optimizer, dtype, range(interrupted_after, 8))
    assert_same_state(net, optimizer, other, other_optimizer)


def test_before_the_first_update(tmp_path):
    net, optimizer = start('conv', 'float32', {}, fresh=True)
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', optimizer)
    run(net, optimizer, 'float32', range(2))
    assert optimizer.diagnostics['updates'] == 2


def test_loading_forgets_what_the_optimizer_had_learned(tmp_path):
    net, optimizer = start('conv', 'float32', {})
    run(net, optimizer, 'float32', range(2))
    for target, file in ((net, 'net.npz'), (optimizer, 'optimizer.npz')):
        chainer.serializers.save_npz(tmp_path / file, target)
    run(net, optimizer, 'float32', range(2, 4))
    wanted = net.conv.W.array.copy()
    run(net, optimizer, 'float32', range(10, 15))
    for target, file in ((net, 'net.npz'), (optimizer, 'optimizer.npz')):
        chainer.serializers.load_npz(tmp_path / file, target)
    run(net, optimizer, 'float32', range(2, 4))
    assert_array_equal(net.conv.W.array, wanted)


def test_a_dynamic_loss_scale_is_kept(tmp_path):
    net, optimizer = start('conv', 'float32', {})
    optimizer.loss_scaling()
    run(net, optimizer, 'float32', range(3))
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    other, other_optimizer = start('conv', 'float32', {})
    other_optimizer.loss_scaling()
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', other_optimizer)
    assert optimizer.loss_scale == other_optimizer.loss_scale > 1


@pytest.mark.parametrize('fresh', ['inverses every step', 'inverses every third'])
def test_inverses_are_saved_only_where_they_are_needed(fresh):
    hyper = {} if fresh == 'inverses every step' else {'inverse_update_interval': 3}
    net, optimizer = start('conv', 'float32', hyper)
    run(net, optimizer, 'float32', range(1))
    saved = {}
    optimizer.serialize(chainer.serializers.DictionarySerializer(saved))
    assert any('side_A' in key for key in saved) == (fresh == 'inverses every third')


def trainer_of(net, optimizer, directory, until):
    x, t = small_nets.images(24, 'float32')
    iterator = chainer.iterators.SerialIterator(
        chainer.datasets.TupleDataset(x, t), 6,
        order_sampler=chainer.iterators.ShuffleOrderSampler(np.random.RandomState(0)))
    updater = training.StandardUpdater(iterator, optimizer, loss_func=small_nets.Loss(net))
    trainer = training.Trainer(updater, (until, 'iteration'), out=directory)
    trainer.extend(extensions.snapshot(autoload=True), trigger=(3, 'iteration'))
    trainer.extend(extensions.ExponentialShift('lr', 0.5), trigger=(4, 'iteration'))
    trainer.extend(extensions.LogReport(trigger=(1, 'iteration')))
    return trainer


@pytest.mark.parametrize('hyper', [
    {}, {'fisher': 'mc', 'inverse_update_interval': 4}, {'acc_iters': 2}])
def test_through_the_trainers_snapshot(hyper, tmp_path):
    """Shuffled data, a schedule, a log: stopped after 5 of 12 iterations, resumed from the 3rd."""
    net, optimizer = start('conv', 'float32', hyper)
    trainer_of(net, optimizer, tmp_path / 'whole', 12).run()
    other, other_optimizer = start('conv', 'float32', hyper)
    trainer_of(other, other_optimizer, tmp_path / 'parts', 5).run()
    resumed, resumed_optimizer = start('conv', 'float32', hyper, fresh=True)
    trainer_of(resumed, resumed_optimizer, tmp_path / 'parts', 12).run()
    assert_same_state(net, optimizer, resumed, resumed_optimizer)
    assert resumed_optimizer.lr == optimizer.lr
