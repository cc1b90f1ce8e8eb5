"""Which parameters are preconditioned, that it is said, and what happens to the others."""
import logging

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
import small_nets
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import LinearBlock, block_class
from chainer_kfac.optimizers import KFAC, coverage


class Mixed(chainer.Chain):
    """Covered and other links, and a parameter that belongs to no link of its own."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(None, 3, 3)
            self.bn = L.BatchNormalization(3)
            self.fc = L.Linear(None, 3)
            self.scale = chainer.Parameter(1.0, (1,))

    def forward(self, x):
        h = F.tanh(self.bn(self.conv(x)))
        return self.fc(h) * F.broadcast_to(self.scale, (len(x), 3))


def test_coverage_is_logged_once(caplog):
    net = Mixed()
    optimizer = KFAC().setup(net)
    with caplog.at_level(logging.INFO, 'chainer_kfac.optimizers.coverage'):
        for _ in range(2):
            optimizer.update(small_nets.Loss(net), *small_nets.images(6, 'float32'))
    assert [record.getMessage() for record in caplog.records] == [
        'K-FAC preconditions 4 parameters: /conv/W, /conv/b, /fc/W, /fc/b',
        'plain momentum updates 3 parameters: /scale, /bn/beta, /bn/gamma']


def test_other_parameters_follow_plain_momentum_exactly():
    net, other = Mixed(), Mixed()
    x, t = small_nets.images(6, 'float32')
    for which in (net, other):
        with chainer.no_backprop_mode(), chainer.using_config('train', False):
            which(x)
    other.copyparams(net)
    KFAC(lr=0.1, momentum=0.8).setup(net)
    plain = chainer.optimizers.MomentumSGD(lr=0.1, momentum=0.8).setup(other)
    for link in (net.conv, net.fc, other.conv, other.fc):
        link.disable_update()
    optimizer = KFAC(lr=0.1, momentum=0.8).setup(net)
    for link in (net.conv, net.fc):
        link.disable_update()
    for _ in range(3):
        optimizer.update(small_nets.Loss(net), x, t)
        plain.update(small_nets.Loss(other), x, t)
    for name in ('beta', 'gamma'):
        assert_array_equal(getattr(net.bn, name).array, getattr(other.bn, name).array)
    assert_array_equal(net.scale.array, other.scale.array)


def test_without_any_block_it_is_momentum_sgd():
    net, other = small_nets.build('conv', 'float32'), small_nets.build('conv', 'float32')
    optimizer = KFAC(lr=0.1, constructor=lambda link: None).setup(net)
    plain = chainer.optimizers.MomentumSGD(lr=0.1).setup(other)
    for which in (optimizer, plain):
        which.add_hook(chainer.optimizer_hooks.WeightDecay(1e-2))
    for step in range(5):
        x, t = small_nets.images(6, 'float32', seed=step)
        optimizer.update(small_nets.Loss(net), x, t)
        plain.update(small_nets.Loss(other), x, t)
    for param, wanted in zip(net.params(), other.params(), strict=True):
        assert_array_equal(param.array, wanted.array)


def test_constructor_chooses_for_one_optimizer():
    class Loud(LinearBlock):
        stabilised = True

    def choose(link):
        return {L.Linear: Loud}.get(type(link))

    net = small_nets.build('conv')
    optimizer = KFAC(constructor=choose).setup(net)
    assert [type(block) for block in optimizer.blocks] == [Loud]
    assert coverage.names(net, optimizer.blocks)[1] == ['/conv/W', '/conv/b']
    assert [block.name for block in KFAC().setup(net).blocks] == ['/conv', '/fc']
    assert block_class(net.fc) is LinearBlock


def test_a_shared_link_and_a_shared_weight_are_covered_once():
    fc = L.Linear(4, 4)
    tied = L.Linear(4, 4)
    tied.W = fc.W
    net = chainer.ChainList(fc, fc, tied)
    optimizer = KFAC().setup(net)
    assert [block.name for block in optimizer.blocks] == ['/0']
    x = np.random.RandomState(0).normal(size=(5, 4)).astype(np.float32)
    optimizer.update(lambda: F.mean_squared_error(tied(F.tanh(fc(x))), x))
    block = optimizer.blocks[0]
    # The call through the other link uses a bias that is not this block's.
    assert_allclose(block.factors.A[4, 4], 1.0)
    assert optimizer.diagnostics['updates'] == 1


def test_a_model_that_is_a_single_link():
    link = L.Linear(6, 3)
    x, t = small_nets.images(6, 'float32')
    optimizer = KFAC().setup(link)
    before = link.W.array.copy()
    optimizer.update(lambda: F.softmax_cross_entropy(link(x.reshape(6, -1)[:, :6]), t))
    assert not np.array_equal(link.W.array, before)
    saved = {}
    optimizer.serialize(chainer.serializers.DictionarySerializer(saved))
    KFAC().setup(link).serialize(chainer.serializers.NpzDeserializer(saved))


def test_an_unused_layer_keeps_its_weights():
    net = small_nets.build('perceptron')
    net.add_link('spare', L.Linear(3, 3))
    before = net.spare.W.array.copy()
    optimizer = KFAC().setup(net)
    for _ in range(2):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    assert_array_equal(net.spare.W.array, before)
    assert optimizer.diagnostics['updates'] == 2


def test_a_layer_used_now_and_then_uses_what_it_has():
    """Factors of a layer that is skipped in a step stay; its zero gradient moves nothing but v."""
    net = small_nets.build('perceptron')
    net.add_link('extra', L.Linear(3, 3, initialW=np.eye(3)))
    net.extra.W.array = net.extra.W.array.astype(np.float64)
    net.extra.b.array = net.extra.b.array.astype(np.float64)
    optimizer = KFAC(momentum=0).setup(net)
    x, t = small_nets.images(6)
    optimizer.update(lambda: F.softmax_cross_entropy(net.extra(net(x)), t))
    block = next(block for block in optimizer.blocks if block.name == '/extra')
    kept, A = net.extra.W.array.copy(), block.factors.A.copy()
    optimizer.update(small_nets.Loss(net), x, t)
    assert_array_equal(net.extra.W.array, kept)
    assert_array_equal(block.factors.A, A)


def test_evaluation_through_a_copied_model():
    """`Link.copy` shares parameters; a forward pass of the copy records nothing."""
    net = small_nets.build('perceptron')
    optimizer = KFAC().setup(net)
    x, t = small_nets.images(6)
    optimizer.update(small_nets.Loss(net), x, t)
    copied = net.copy()
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        copied(x)
    assert all(not block.uses for block in optimizer.blocks)


def test_stab_coeff_multiplies_the_damping_of_blocks_that_ask_for_it():
    class Stabilised(LinearBlock):
        stabilised = True

    net = small_nets.build('perceptron')
    optimizer = KFAC(damping=0.01, stab_coeff=4.0, constructor=lambda link: {
        net.fc1: Stabilised, net.fc2: LinearBlock}.get(link)).setup(net)
    assert [optimizer.damping_of(block) for block in optimizer.blocks] == [0.04, 0.01]
    optimizer.stab_coeff = 10.0
    assert optimizer.damping_of(optimizer.blocks[0]) == pytest.approx(0.1)


def test_setup_again_starts_anew():
    net = small_nets.build('perceptron')
    optimizer = KFAC().setup(net)
    optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    optimizer.setup(net)
    assert optimizer.t == 0
    assert optimizer.blocks[0].factors.A is None
    assert optimizer.diagnostics['updates'] == 0


def test_not_set_up():
    with pytest.raises(RuntimeError, match='set up'):
        KFAC().update(lambda: None)


def test_chainerx_is_refused():
    assert not chainer.backend.chainerx.is_available()    # the check needs an array to be tried

    class Device:
        xp = chainer.backend.chainerx

    class Parameter:
        device = Device

    class Model:
        def namedparams(self, include_uninit=True):
            return [('/W', Parameter)]

    with pytest.raises(ConfigError, match='/W is a ChainerX array'):
        coverage.announce(Model(), [])


@pytest.mark.parametrize('path', ['inverse', 'thin', 'rows'])
@pytest.mark.parametrize('name', ['W', 'b'])
def test_a_parameter_without_a_rule_is_frozen(path, name):
    """As with Chainer's own optimizers; its layer is as if its rule were disabled."""
    nets = []
    for freeze in (lambda param: setattr(param, 'update_rule', None),
                   lambda param: setattr(param.update_rule, 'enabled', False)):
        net = small_nets.build('perceptron')
        optimizer = KFAC(paths=path).setup(net)
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.01))
        optimizer.update(small_nets.Loss(net), *small_nets.images(6))
        frozen = getattr(net.fc1, name)
        freeze(frozen)
        before = frozen.array.copy()
        for seed in (1, 2):
            optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=seed))
        assert_array_equal(frozen.array, before)
        nets.append(net)
    for one, other in zip(*(net.params() for net in nets), strict=True):
        assert_allclose(one.array, other.array, rtol=1e-9)


@pytest.mark.parametrize('path', ['inverse', 'rows'])
def test_a_rule_of_another_kind_follows_the_gradient(path):
    """A covered parameter that was given a rule of its own is moved by that, hooks included."""
    net = small_nets.build('perceptron')
    optimizer = KFAC(paths=path).setup(net)
    rule = net.fc1.W.update_rule = chainer.optimizers.sgd.SGDRule(lr=0.5)
    rule.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
    x, t = small_nets.images(6)
    before = net.fc1.W.array.copy(), net.fc1.b.array.copy()
    gradient = chainer.grad([small_nets.Loss(net)(x, t)], [net.fc1.W])[0].array
    optimizer.update(small_nets.Loss(net), x, t)
    assert_allclose(net.fc1.W.array, before[0] - 0.5 * (gradient + 0.1 * before[0]), rtol=1e-9)
    assert (net.fc1.b.array != before[1]).all()
