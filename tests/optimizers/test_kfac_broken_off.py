"""Updates that an error or an interrupt breaks off, and gradients that the caller changes."""
import chainer
import chainer.functions as F
import numpy as np
import pytest
import small_nets
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.optimizers import KFAC

PATHS = ['inverse', 'solve', 'thin', 'rows']


def trained(path='inverse', steps=2, **hyper):
    """A network after some steps, its optimizer and loss."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(paths=path, **hyper).setup(net)
    loss = small_nets.Loss(net)
    for step in range(steps):
        optimizer.update(loss, *small_nets.images(6, seed=step))
    return net, optimizer, loss


def weights(net):
    return np.concatenate([param.array.ravel() for param in net.params()])


def broken_off(optimizer, method, loss, *batch):
    """An update during which Ctrl-C is pressed when ``method`` is called."""
    def interrupt(*args, **kwds):
        raise KeyboardInterrupt

    setattr(optimizer, method, interrupt)
    with pytest.raises(KeyboardInterrupt):
        optimizer.update(loss, *batch)
    delattr(optimizer, method)


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('method', ['plan', 'recorded', 'accumulate', 'reduce', 'check'])
def test_an_update_broken_off_before_the_averages_leaves_nothing(path, method):
    net, optimizer, loss = trained(path)
    broken_off(optimizer, method, loss, *small_nets.images(9, seed=7))
    optimizer.update(loss, *small_nets.images(6, seed=2))
    assert_array_equal(weights(net), weights(trained(path, steps=3)[0]))


@pytest.mark.parametrize('method', ['update_inverses', 'call_pre_hooks', 'check_directions'])
def test_paths_agree_after_an_update_broken_off(method):
    found = []
    for path in PATHS:
        net, optimizer, loss = trained(path)
        broken_off(optimizer, method, loss, *small_nets.images(9, seed=7))
        optimizer.update(loss, *small_nets.images(6, seed=2))
        found.append(weights(net))
    for other in found[1:]:
        assert_allclose(other, found[0], rtol=1e-6, atol=1e-9)


def test_micro_batches_of_an_update_broken_off_are_not_of_the_next():
    net, optimizer, loss = trained(steps=4, acc_iters=2)
    optimizer.update(loss, *small_nets.images(9, seed=7))
    broken_off(optimizer, 'recorded', loss, *small_nets.images(9, seed=8))
    for seed in (4, 5):
        optimizer.update(loss, *small_nets.images(6, seed=seed))
    assert_array_equal(weights(net), weights(trained(steps=6, acc_iters=2)[0]))


@pytest.mark.parametrize('path', PATHS)
def test_gradients_may_be_changed_between_backward_and_update(path):
    """As by a hook: K-FAC follows what is in ``grad`` when update() is called."""
    net, optimizer, loss = trained(path, momentum=0)
    optimizer.backward(loss(*small_nets.images(6, seed=2)))
    for param in net.params():
        param.grad *= 3
    optimizer.update()
    other, optimizer, loss = trained(path, momentum=0)
    before = weights(other)
    optimizer.update(loss, *small_nets.images(6, seed=2))
    assert_allclose(weights(net) - before, 3 * (weights(other) - before), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize('path', PATHS)
def test_a_penalty_may_add_its_gradient_before_update(path):
    net, optimizer, loss = trained(path, momentum=0)
    x, t = small_nets.images(6, seed=2)
    optimizer.backward(loss(x, t))
    (5 * F.sum(net.fc1.W ** 2)).backward()
    optimizer.update()
    other, optimizer, loss = trained(path, momentum=0)
    optimizer.update(lambda: loss(x, t) + 5 * F.sum(other.fc1.W ** 2))
    assert_allclose(weights(net), weights(other), rtol=1e-9)


def test_a_second_loss_before_update_is_refused():
    net, optimizer, loss = trained()
    x, t = small_nets.images(6, seed=2)
    for give in (lambda: optimizer.backward(loss(x, t)), lambda: optimizer.update(loss, x, t)):
        optimizer.backward(loss(*small_nets.images(9, seed=7)))
        with pytest.raises(ConfigError, match='both are dropped.*give several losses as their sum'):
            give()
    optimizer.update(loss, x, t)
    assert_array_equal(weights(net), weights(trained(steps=3)[0]))


def test_micro_batches_before_a_loss_that_fails_are_dropped():
    net, optimizer, loss = trained(steps=4, acc_iters=2)
    optimizer.update(loss, *small_nets.images(9, seed=7))
    with pytest.raises(ZeroDivisionError):
        optimizer.update(lambda: 1 / 0)
    for seed in (4, 5):
        optimizer.update(loss, *small_nets.images(6, seed=seed))
    assert_array_equal(weights(net), weights(trained(steps=6, acc_iters=2)[0]))


def test_a_snapshot_may_be_loaded_between_two_micro_batches(tmp_path):
    net, optimizer, loss = trained(steps=4, acc_iters=2)
    chainer.serializers.save_npz(tmp_path / 'net.npz', net)
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    optimizer.update(loss, *small_nets.images(9, seed=7))
    chainer.serializers.load_npz(tmp_path / 'net.npz', net)
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', optimizer)
    for seed in (4, 5):
        optimizer.update(loss, *small_nets.images(6, seed=seed))
    assert_array_equal(weights(net), weights(trained(steps=6, acc_iters=2)[0]))


def test_a_snapshot_may_be_loaded_between_backward_and_update(tmp_path):
    net, optimizer, loss = trained()
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    optimizer.backward(loss(*small_nets.images(9, seed=7)))
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', optimizer)
    optimizer.update(loss, *small_nets.images(6, seed=2))
    assert_array_equal(weights(net), weights(trained(steps=3)[0]))
