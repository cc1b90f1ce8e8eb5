"""Nothing that is not finite, and no factor that is not positive definite, reaches the weights."""
import logging

import chainer
import chainer.functions as F
import numpy as np
import pytest
import small_nets
from numpy.testing import assert_array_equal

from chainer_kfac.linalg import all_finite
from chainer_kfac.optimizers import KFAC


def weights(net):
    return {name: param.array.copy() for name, param in net.namedparams()}


def momenta(net):
    return {name: param.update_rule.state['v'].copy() for name, param in net.namedparams()}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert_array_equal(found[name], wanted[name])


def trained(name='conv', dtype='float32', **hyper):
    """A network after one good step, its optimizer and loss."""
    net = small_nets.build(name, dtype)
    optimizer = KFAC(**hyper).setup(net)
    loss = small_nets.Loss(net)
    optimizer.update(loss, *small_nets.images(6, dtype))
    return net, optimizer, loss


def poison_input(net, x, t):
    x[2, 0, 1, 1] = np.nan
    return F.softmax_cross_entropy(net(x), t)


def poison_loss(net, x, t):
    return F.softmax_cross_entropy(net(x), t) * np.float32('inf')


def poison_gradient(net, x, t):
    """A finite loss with a gradient of nan: sqrt at 0."""
    y = net(x)
    return F.softmax_cross_entropy(y, t) + F.sum(F.sqrt(F.relu(y * 0)))


def poison_one_parameter(net, x, t):
    """Only the bias of the last layer has a gradient of nan; factors are finite."""
    y = net(x)
    return F.softmax_cross_entropy(y, t) + F.sum(F.sqrt(F.relu(net.fc.b * 0)))


@pytest.mark.parametrize('fisher, poison', [
    ('empirical', poison_input), ('empirical', poison_loss), ('empirical', poison_gradient),
    ('empirical', poison_one_parameter), ('mc', poison_input), ('exact', poison_input)])
@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
def test_nan_and_infinity_are_kept_out(fisher, poison, caplog):
    net, optimizer, loss = trained(fisher=fisher)
    before, velocity = weights(net), momenta(net)
    averages = [(b.factors.A.copy(), b.factors.G.copy()) for b in optimizer.blocks]
    x, t = small_nets.images(6, 'float32', seed=1)
    with caplog.at_level(logging.WARNING):
        optimizer.update(lambda: poison(net, x, t))
    assert_same(weights(net), before)
    assert_same(momenta(net), velocity)
    for block, (A, G) in zip(optimizer.blocks, averages, strict=True):
        assert_array_equal(block.factors.A, A)
        assert_array_equal(block.factors.G, G)
    assert optimizer.diagnostics['skipped_updates'] == 1
    assert optimizer.t == 2
    assert 'iteration 1: update skipped' in caplog.text
    optimizer.update(loss, *small_nets.images(6, 'float32', seed=2))
    assert optimizer.diagnostics['updates'] == 2
    assert all(np.isfinite(array).all() for array in weights(net).values())


def test_a_gradient_that_a_hook_spoils_is_kept_out(caplog):
    net, optimizer, loss = trained()
    before = weights(net)

    def spoil(optimizer):
        net.fc.W.grad[0, 0] = np.inf

    optimizer.add_hook(spoil, name='spoil')
    optimizer.update(loss, *small_nets.images(6, 'float32', seed=1))
    assert_same(weights(net), before)
    assert 'a preconditioned or hooked gradient is not finite' in caplog.text


def test_a_plain_gradient_that_a_hook_spoils_is_kept_out(caplog):
    net = small_nets.build('perceptron', 'float32')
    optimizer = KFAC(constructor=lambda link: None).setup(net)
    before = weights(net)

    def spoil(optimizer):
        net.fc1.W.grad[0, 0] = np.nan

    optimizer.add_hook(spoil, name='spoil')
    optimizer.update(small_nets.Loss(net), *small_nets.images(6, 'float32'))
    assert_same(weights(net), before)
    assert optimizer.diagnostics['skipped_updates'] == 1


def test_a_factor_that_float32_cannot_invert_is_retried_in_float64(caplog):
    net, optimizer, loss = trained('perceptron')
    block = optimizer.blocks[0]
    vector = np.random.RandomState(0).randint(1, 9, len(block.factors.A)).astype(np.float32)
    block.factors.A = np.outer(vector, vector)      # exact, and of rank 1
    with caplog.at_level(logging.WARNING):
        recovery = block.update_inverses(1e-15, 'tracenorm', True)
        optimizer.diagnostics.recovered(7, block.name, recovery)
    assert recovery.retried
    assert recovery.raised == 0
    assert not recovery.skipped
    assert 'iteration 7: a factor of /fc1' in caplog.text
    assert optimizer.diagnostics['float64_retries'] == 1


def test_an_indefinite_factor_raises_the_damping(caplog):
    net, optimizer, loss = trained('perceptron', damping=1e-2, cov_ema_decay=0.0)
    before = weights(net)
    block = optimizer.blocks[0]
    block.factors.A[0, 0] = 0.0
    pi = np.sqrt(np.trace(block.factors.A) / len(block.factors.A)
                 / (np.trace(block.factors.G) / len(block.factors.G)))
    block.factors.A[0, 0] = -2.0 * pi * 0.1     # twice what the damping adds; new has no weight
    optimizer.update(loss, *small_nets.images(6, 'float32', seed=1))
    assert optimizer.diagnostics['raised_dampings'] == 1
    assert optimizer.diagnostics['updates'] == 2
    assert 'with damping 0.1' in caplog.text
    assert not np.array_equal(weights(net)['/fc1/W'], before['/fc1/W'])


def test_a_hopeless_factor_skips_the_update_until_it_recovers(caplog):
    net, optimizer, loss = trained('perceptron', cov_ema_decay=0.0, inverse_update_interval=5)
    before = weights(net)
    good = optimizer.blocks[0].factors.A
    optimizer.blocks[0].factors.A = -good
    optimizer.blocks[0].factors.sides = None
    for step in (1, 2):
        optimizer.update(loss, *small_nets.images(6, 'float32', seed=step))
    assert_same(weights(net), before)
    assert optimizer.diagnostics['skipped_updates'] == 2
    assert 'no damping made the factors of /fc1 positive definite' in caplog.text
    optimizer.blocks[0].factors.A = good
    optimizer.update(loss, *small_nets.images(6, 'float32', seed=3))
    assert optimizer.diagnostics['updates'] == 2


def test_no_damping_and_a_singular_factor_is_a_counted_skip():
    """More inputs than examples: A is singular, and no multiple of 0 helps."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(damping=0).setup(net)
    optimizer.update(small_nets.Loss(net), *small_nets.images(4))
    assert optimizer.diagnostics['skipped_updates'] == 1


def test_counts_are_reported():
    net, optimizer, loss = trained()
    x, t = small_nets.images(6, 'float32', seed=1)
    reporter = chainer.Reporter()
    observations = []
    for broken in (False, True, False):
        with reporter.scope({}):
            optimizer.update((lambda: poison_input(net, x.copy(), t)) if broken else
                             (lambda: loss(x, t)))
            observations.append(reporter.observation)
    assert [o['kfac/skipped_updates'] for o in observations] == [0, 1, 0]
    assert [o['kfac/damping'] for o in observations] == [0.03] * 3
    assert {'kfac/float64_retries', 'kfac/raised_dampings'} <= set(observations[0])


@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
def test_overflow_halves_a_dynamic_loss_scale():
    net = small_nets.build('perceptron', 'float32')
    optimizer = KFAC().setup(net)
    optimizer.loss_scaling()
    optimizer._loss_scale = 1024.0
    before = weights(net)
    x, t = small_nets.images(6, 'float32')
    optimizer.update(lambda: poison_gradient(net, x, t))
    assert optimizer.loss_scale == 512.0
    assert_same(weights(net), before)
    optimizer.update(small_nets.Loss(net), x, t)
    assert optimizer.loss_scale > 512.0
    assert not np.array_equal(weights(net)['/fc1/W'], before['/fc1/W'])


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_all_finite(xp, dtype, bad):
    array = xp.ones((3, 4), dtype)
    assert all_finite([array, None, xp.empty((0, 2), dtype)])
    assert all_finite([array * np.finfo(dtype).max])    # its square sum overflows
    assert all_finite([array[:, ::2]])
    assert all_finite([])
    array[1, 2] = bad
    assert not all_finite([xp.ones(3, dtype), array])
    assert not all_finite([array[:, ::2]])
