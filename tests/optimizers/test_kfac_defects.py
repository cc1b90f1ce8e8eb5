"""Defects found in other K-FAC packages; each test would catch one of them here."""
import logging
import subprocess
import sys

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
import small_nets
from chainer import training
from chainer.training import extensions, triggers
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.fisher import Convolution2DBlock, FisherBlock, LinearBlock
from chainer_kfac.optimizers import KFAC


def train(optimizer, net, steps, start=0):
    for step in range(start, start + steps):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))


def damping_inside(optimizer, j=0):
    """What stands on the diagonals of the inverted matrices beyond the averages: (A's, G's)."""
    factors = optimizer.blocks[j].factors
    found = []
    for side, average in zip(factors.sides[0], (factors.A, factors.G), strict=True):
        added = np.linalg.inv(side.matrix) - average
        assert_allclose(added, added[0, 0] * np.eye(len(added)), atol=1e-8 * added[0, 0] + 1e-10)
        found.append(added[0, 0])
    return found


@pytest.mark.parametrize('decay', [0.99, 0.5, 0.1])
def test_damping_never_enters_the_running_average(decay):
    """1: after any number of steps the product of both terms is the damping that was asked for."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(damping=0.02, cov_ema_decay=decay).setup(net)
    for step in range(10):
        train(optimizer, net, 1, start=step)
        for j in range(2):
            term_A, term_G = damping_inside(optimizer, j)
            assert_allclose(term_A * term_G, 0.02, rtol=1e-6)


def test_importing_and_training_need_no_cupy():
    """2."""
    program = (
        "import sys; sys.modules['cupy'] = None\n"
        'import chainer_kfac, chainer, numpy as np\n'
        'from chainer_kfac.optimizers import KFAC\n'
        'net = chainer.links.Classifier(chainer.links.Linear(4, 3))\n'
        "x, t = np.ones((5, 4), 'f'), np.zeros(5, 'i')\n"
        'KFAC().setup(net).update(net, x, t)\n')
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)


def test_layers_without_a_block_are_trained():
    """3."""
    net = chainer.Sequential(L.Convolution2D(4, 3, 3), L.BatchNormalization(3), F.relu,
                             L.Linear(None, 3))
    x, t = small_nets.images(6, 'float32')
    optimizer = KFAC(lr=0.1).setup(net)
    before = net[1].beta.array.copy()
    optimizer.update(lambda: F.softmax_cross_entropy(net(x), t))
    assert not np.array_equal(net[1].beta.array, before)


def test_the_snapshot_holds_every_momentum():
    """4."""
    net = small_nets.build('conv')
    optimizer = KFAC().setup(net)
    train(optimizer, net, 1)
    saved = {}
    optimizer.serialize(chainer.serializers.DictionarySerializer(saved))
    for name, param in net.namedparams():
        assert_array_equal(saved[name[1:] + '/v'], param.update_rule.state['v'])


def test_scheduled_damping_and_decay_take_effect():
    """5."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(damping=0.02).setup(net)
    train(optimizer, net, 2)
    optimizer.damping = 0.5
    optimizer.cov_ema_decay = 0.0
    A = optimizer.blocks[0].factors.A.copy()
    train(optimizer, net, 1, start=2)
    assert_allclose(np.prod(damping_inside(optimizer)), 0.5, rtol=1e-6)
    assert_array_equal(optimizer.blocks[0].factors.A, A)


def test_stab_coeff_reaches_the_blocks_that_use_it():
    """6."""
    class Stabilised(LinearBlock):
        stabilised = True

    net = small_nets.build('linear')
    optimizer = KFAC(damping=0.02, stab_coeff=64.0, constructor=lambda link: {
        net.fc: Stabilised}.get(link)).setup(net)
    train(optimizer, net, 1)
    assert_allclose(np.prod(damping_inside(optimizer)), 64 * 0.02, rtol=1e-6)


def test_kl_clip_may_be_none():
    """7."""
    net = small_nets.build('linear')
    optimizer = KFAC(kl_clip=None).setup(net)
    train(optimizer, net, 1)
    optimizer.kl_clip = 1e-3
    train(optimizer, net, 1)
    optimizer.kl_clip = None
    train(optimizer, net, 1)
    assert optimizer.diagnostics['updates'] == 3


def test_scheduled_damping_does_not_keep_shrinking():
    """8: a factor of 0.5 at iterations 2 and 4 is 0.25 at the 8th, not 0.5 to a higher power."""
    net = small_nets.build('linear')
    optimizer = KFAC(damping=0.08).setup(net)
    iterator = chainer.iterators.SerialIterator(
        chainer.datasets.TupleDataset(*small_nets.images(12)), 6)
    updater = training.StandardUpdater(iterator, optimizer, loss_func=small_nets.Loss(net))
    trainer = training.Trainer(updater, (8, 'iteration'))
    trainer.extend(extensions.ExponentialShift('damping', 0.5),
                   trigger=triggers.ManualScheduleTrigger([2, 4], 'iteration'))
    trainer.run()
    assert_allclose(optimizer.damping, 0.02)
    assert_allclose(np.prod(damping_inside(optimizer)), 0.02, rtol=1e-6)


def test_layers_of_equal_size_share_no_buffer():
    """9."""
    net = chainer.ChainList(*(L.Linear(4, 4) for _ in range(3)))
    optimizer = KFAC().setup(net)
    x = np.random.RandomState(0).normal(size=(6, 4)).astype(np.float32)
    optimizer.backward(F.mean_squared_error(net[2](F.tanh(net[1](F.tanh(net[0](x))))), x))
    optimizer.update()
    grads = [[param.grad for param in block.params] for block in optimizer.blocks]
    found = [block.precondition(grad) for block, grad in zip(optimizer.blocks, grads, strict=True)]
    alone = [[array.copy() for array in block.precondition(grad)]
             for block, grad in zip(optimizer.blocks, grads, strict=True)]
    for arrays, wanted in zip(found, alone, strict=True):
        for array, expected in zip(arrays, wanted, strict=True):
            assert_array_equal(array, expected)


def test_a_blocks_own_damping_is_in_its_cached_inverses():
    """10: at an inverse interval above 1, too."""
    class Stabilised(LinearBlock):
        stabilised = True

    net = small_nets.build('linear')
    optimizer = KFAC(damping=0.02, stab_coeff=5.0, inverse_update_interval=3,
                     cov_ema_decay=0.0, constructor=lambda link: {
                         net.fc: Stabilised}.get(link)).setup(net)
    for step in range(5):
        train(optimizer, net, 1, start=step)
        assert_allclose(np.prod(damping_inside(optimizer)), 0.1, rtol=1e-6)


def test_no_covered_layer_silently_follows_the_plain_gradient(caplog):
    """11: a weight that is used in a way its block does not know is announced."""
    link = L.Linear(6, 3, nobias=True)
    x, t = small_nets.images(6, 'float32')
    x = x.reshape(6, -1)[:, :6]
    optimizer = KFAC().setup(link)
    for _ in range(2):
        optimizer.update(lambda: F.softmax_cross_entropy(F.matmul(x, link.W, transb=True), t))
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert 'follows plain momentum' in warnings[0].getMessage()


@pytest.mark.parametrize('block_class', [LinearBlock, Convolution2DBlock])
def test_a_block_overrides_only_methods_that_exist(block_class):
    """11: a misnamed override would leave the base class' behaviour in place."""
    own = {name for name in vars(block_class) if not name.startswith('_')}
    assert own <= {name for cls in FisherBlock.__mro__ for name in vars(cls)} | {'function_class'}
    assert {'use_of', 'input_factor', 'output_factor', 'function_class'} <= own


@pytest.mark.parametrize('ema_weighs', ['new', 'old'])
@pytest.mark.parametrize('decay', [0.05, 0.95])
def test_the_first_factor_is_taken_as_it_is(ema_weighs, decay):
    """12: so the first step does not depend on the decay."""
    net = small_nets.build('perceptron')
    train(KFAC(cov_ema_decay=decay, ema_weighs=ema_weighs).setup(net), net, 1)
    other = small_nets.build('perceptron')
    train(KFAC(cov_ema_decay=1.0).setup(other), other, 1)
    assert_array_equal(net.fc1.W.array, other.fc1.W.array)
