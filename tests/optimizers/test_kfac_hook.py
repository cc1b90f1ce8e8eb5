"""What is recorded, what is not, and what stays undisturbed."""
import gc
import weakref

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
import small_nets
from chainer.optimizer_hooks import GradientClipping, WeightDecay
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac import functions
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.optimizers import KFAC
from chainer_kfac.optimizers.recorder import Recorder


@pytest.fixture
def net():
    return small_nets.build('perceptron')


def nothing_recorded(optimizer):
    return all(not block.uses and block.estimate.A is None and not block.estimate.has_rows
               for block in optimizer.blocks)


def test_evaluation_is_not_recorded(net):
    optimizer = KFAC().setup(net)
    x, t = small_nets.images(6)
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        net(x)
    loss = small_nets.Loss(net)(x, t)
    loss.backward()
    assert nothing_recorded(optimizer)
    assert Recorder.name not in chainer.get_function_hooks()


def test_grad_inside_the_loss_is_not_recorded():
    """An evaluation and a gradient of the network while the loss is computed change nothing."""
    x, t = small_nets.images(6)
    other, _ = small_nets.images(9, seed=5)
    found = []
    for nosy in (False, True):
        net = small_nets.build('conv')

        def loss(x, t, net=net, nosy=nosy):
            if nosy:
                chainer.grad([F.sum(net(other))], list(net.params()))
                with chainer.no_backprop_mode():
                    net(other)
            return F.softmax_cross_entropy(net(x), t)

        optimizer = KFAC().setup(net)
        optimizer.update(loss, x, t)
        found.append([factor for block in optimizer.blocks for factor in (block.A, block.G)])
    for plain, disturbed in zip(*found, strict=True):
        assert_array_equal(plain, disturbed)


def test_gradient_penalty_works(net):
    """Double backprop through covered layers."""
    x, t = small_nets.images(6)
    x = chainer.Variable(x)

    def penalised(x, t):
        y = net(x)
        gradient, = chainer.grad([F.sum(y)], [x], enable_double_backprop=True)
        return F.softmax_cross_entropy(y, t) + 1e-3 * F.sum(gradient * gradient)

    optimizer = KFAC().setup(net)
    optimizer.update(penalised, x, t)
    assert optimizer.diagnostics['updates'] == 1


def test_other_hooks_see_every_call(net):
    x, t = small_nets.images(6)
    calls = []

    class Spy(chainer.FunctionHook):
        name = 'spy'

        def forward_postprocess(self, function, in_data):
            calls.append(('forward', function.label))

        def backward_postprocess(self, function, in_data, out_grad):
            calls.append(('backward', function.label))

    with Spy():
        chainer.optimizers.SGD().setup(net).update(small_nets.Loss(net), x, t)
        plain, calls[:] = list(calls), []
        KFAC().setup(net).update(small_nets.Loss(net), x, t)
    assert calls == plain


def test_the_hook_is_gone_after_an_error(net):
    class Broken(chainer.FunctionNode):
        def forward(self, inputs):
            return np.array(inputs[0].sum()),

        def backward(self, indexes, grad_outputs):
            raise ArithmeticError

    x, _ = small_nets.images(6)
    with pytest.raises(ArithmeticError):
        KFAC().setup(net).update(lambda: Broken().apply((net(x),))[0])
    assert Recorder.name not in chainer.get_function_hooks()


@pytest.mark.parametrize('fisher', ['empirical', 'mc'])
def test_nothing_outlives_the_step(fisher):
    """No reference cycle keeps a batch, its activations or the graph."""
    net = small_nets.build('conv', 'float32')
    optimizer = KFAC(fisher=fisher).setup(net)
    x, t = small_nets.images(6, 'float32')
    alive = []

    def loss(x, t):
        h = F.tanh(net.conv(x))
        y = net.fc(h)
        alive.extend(weakref.ref(variable.node) for variable in (h, y))
        return F.softmax_cross_entropy(y, t)

    gc.collect()
    gc.disable()
    try:
        optimizer.update(loss, x, t)
        assert len(alive) == 2
        assert all(node() is None for node in alive)
    finally:
        gc.enable()
    assert nothing_recorded(optimizer)


def test_the_optimizer_itself_is_freed():
    net = small_nets.build('linear')
    optimizer = KFAC().setup(net)
    optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    block = weakref.ref(optimizer.blocks[0])
    del optimizer, net
    gc.collect()        # Chainer's optimizers refer to themselves
    is_freed = block() is None
    assert is_freed


def test_update_needs_to_see_the_backward_pass(net):
    x, t = small_nets.images(6)
    optimizer = KFAC().setup(net)
    net.cleargrads()
    small_nets.Loss(net)(x, t).backward()
    with pytest.raises(ConfigError, match='optimizer.backward'):
        optimizer.update()


def test_backward_then_update_is_update(net):
    x, t = small_nets.images(6)
    other = small_nets.build('perceptron')
    KFAC().setup(net).update(small_nets.Loss(net), x, t)
    optimizer = KFAC().setup(other)
    optimizer.backward(small_nets.Loss(other)(x, t))
    optimizer.update()
    assert_array_equal(net.fc1.W.array, other.fc1.W.array)


def test_a_function_that_keeps_no_input_is_named():
    class Forgetful(chainer.functions.connection.linear.LinearFunction):
        def forward(self, inputs):
            x, W = inputs
            self.retain_inputs((1,))
            return x.dot(W.T),

        def backward(self, indexes, grad_outputs):
            return [None] * len(indexes)

    link = L.Linear(6, 3, nobias=True)
    x = F.identity(np.ones((2, 6), np.float32))
    with pytest.raises(ConfigError, match='Forgetful of / does not retain its input'):
        KFAC().setup(link).update(lambda: F.sum(Forgetful().apply((x * 1, link.W))[0]))


def test_a_pass_that_an_error_broke_off_is_forgotten():
    """Calls recorded before the error are no part of the next update."""
    x, t = small_nets.images(6)
    nets = [small_nets.build('conv') for _ in range(2)]
    optimizers = [KFAC().setup(net) for net in nets]
    with pytest.raises(ConfigError, match='cover_all'):
        optimizers[0].update(lambda: F.softmax_cross_entropy(nets[0].fc(F.convolution_2d(
            x, nets[0].conv.W, nets[0].conv.b, pad=1, cover_all=True)), t))
    for net, optimizer in zip(nets, optimizers, strict=True):
        optimizer.update(small_nets.Loss(net), x, t)
    assert_array_equal(nets[0].fc.W.array, nets[1].fc.W.array)


# Hooks on gradients come before preconditioning


def moved(net, optimizer, x, t):
    before = net.fc2.W.array.copy()
    optimizer.update(small_nets.Loss(net), x, t)
    return net.fc2.W.array - before


@pytest.mark.parametrize('on_rule', [False, True])
def test_hooks_run_before_preconditioning(on_rule):
    """A hook that replaces the gradient decides what is preconditioned, wherever it is added."""
    x, t = small_nets.images(6)
    net = small_nets.build('perceptron')
    optimizer = KFAC(momentum=0).setup(net)
    found = []

    def reverse(rule, param):
        if param is net.fc2.W:
            found.append(param.grad[::-1].copy())
            param.grad[...] = found[0]
    reverse.call_for_each_param = True
    (net.fc2.W.update_rule if on_rule else optimizer).add_hook(reverse, name='reverse')
    step = moved(net, optimizer, x, t)
    A, G = optimizer.blocks[1].factors.sides[0]
    assert len(found) == 1
    assert_allclose(step, -optimizer.lr * G.matrix @ found[0] @ A.matrix, rtol=1e-9, atol=1e-15)


def test_gradient_clipping_scales_the_step():
    x, t = small_nets.images(6)
    plain = small_nets.build('perceptron')
    step = moved(plain, KFAC(momentum=0).setup(plain), x, t)
    other = small_nets.build('perceptron')
    other.cleargrads()
    small_nets.Loss(other)(x, t).backward()
    norm = np.sqrt(sum((param.grad ** 2).sum() for param in other.params()))
    clipped = small_nets.build('perceptron')
    optimizer = KFAC(momentum=0).setup(clipped)
    optimizer.add_hook(GradientClipping(norm / 4))
    assert_allclose(moved(clipped, optimizer, x, t), step / 4, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize('on_rule', [False, True])
def test_the_larger_of_damping_and_weight_decay_is_used(on_rule):
    x, t = small_nets.images(6)
    net = small_nets.build('perceptron')
    optimizer = KFAC(damping=1e-3).setup(net)
    hook = WeightDecay(0.5)
    (net.fc1.W.update_rule if on_rule else optimizer).add_hook(hook)
    assert optimizer.damping_of(optimizer.blocks[0]) == 0.5
    hook.rate = 1e-4
    assert optimizer.damping_of(optimizer.blocks[0]) == 1e-3
    assert optimizer.damping_of(optimizer.blocks[1]) == 1e-3


def test_post_hooks_run_after_the_update(net):
    x, t = small_nets.images(6)
    before = net.fc1.W.array.copy()
    seen = []

    def look(optimizer):
        seen.append(not np.array_equal(net.fc1.W.array, before))

    optimizer = KFAC().setup(net)
    optimizer.add_hook(look, name='look', timing='post')
    net.fc1.W.update_rule.add_hook(lambda rule, param: look(None), name='rule', timing='post')
    optimizer.update(small_nets.Loss(net), x, t)
    assert seen == [True, True]


# What the rows of a layer do not know of


def step_of(paths, lossfun, *, decay=0.0, **hyper):
    net = small_nets.build('perceptron')
    optimizer = KFAC(paths=paths, lr=0.1, momentum=0, **hyper).setup(net)
    if decay:
        optimizer.add_hook(WeightDecay(decay))
    for step in range(2):       # the first one chooses the path
        optimizer.update(lambda s=step: lossfun(net, *small_nets.images(6, seed=s)))
    return np.concatenate([param.array.ravel() for param in net.params()]), optimizer


def with_penalty(net, x, t):
    return F.softmax_cross_entropy(net(x), t) + 0.1 * F.sum(net.fc1.W * net.fc1.W)


def with_bias_penalty(net, x, t):
    return F.softmax_cross_entropy(net(x), t) + 0.1 * F.sum(net.fc1.b * net.fc1.b)


def with_gradient_penalty(net, x, t):
    x = chainer.Variable(x)
    y = net(x)
    gradient, = chainer.grad([F.sum(y)], [x], enable_double_backprop=True)
    return F.softmax_cross_entropy(y, t) + 1e-3 * F.sum(gradient * gradient)


def with_a_product(net, x, t):
    h = F.tanh(net.fc1(x))
    return F.softmax_cross_entropy(net.fc2(h) + F.matmul(h, net.fc2.W, transb=True), t)


def with_a_part_forgotten(net, x, t):
    def part(x):
        return F.tanh(net.fc1(x) + F.matmul(F.reshape(x, (len(x), -1)), net.fc1.W, transb=True))

    return F.softmax_cross_entropy(net.fc2(F.forget(part, chainer.Variable(x))), t)


def with_the_bias_elsewhere(net, x, t):
    other = F.linear(x, np.ones_like(net.fc1.W.array), net.fc1.b)
    return F.softmax_cross_entropy(net.fc2(F.tanh(net.fc1(x) + other)), t)


@pytest.mark.parametrize('lossfun', [
    with_penalty, with_bias_penalty, with_the_bias_elsewhere, with_gradient_penalty, with_a_product,
    with_a_part_forgotten])
def test_other_parts_of_a_gradient_are_not_lost(lossfun):
    wanted = step_of('inverse', lossfun)[0]
    for path in ('thin', 'rows'):
        assert_allclose(step_of(path, lossfun)[0], wanted, rtol=1e-6)


@pytest.mark.parametrize('decay', [0.0, 0.1])
@pytest.mark.parametrize('fast', [False, True])
@pytest.mark.parametrize('path', ['thin', 'rows'])
def test_a_gradient_that_rows_replace_is_not_formed(path, fast, decay, monkeypatch):
    """Nor missed: the step is that of the formed one."""
    from chainer.functions.connection.linear import LinearGradWeight

    def plain(net, x, t):
        return F.softmax_cross_entropy(net(x), t)

    formed = []
    original = LinearGradWeight.forward
    monkeypatch.setattr(LinearGradWeight, 'forward',
                        lambda *args: formed.append(1) or original(*args))
    wanted = step_of('inverse', plain, decay=decay)[0]
    assert len(formed) == 4
    with functions.using(fast):
        found, optimizer = step_of(path, plain, decay=decay)
    assert len(formed) == 4 + 3     # not that of fc1 in the second step; fc2 has no bias
    assert_allclose(found, wanted, rtol=1e-6)
    assert all(param.node.requires_grad for param in optimizer.target.params())


def test_a_gradient_is_formed_where_it_is_needed():
    def plain(net, x, t):
        return F.softmax_cross_entropy(net(x), t)

    assert_allclose(step_of('thin', plain, kl_clip=1e-3)[0],
                    step_of('inverse', plain, kl_clip=1e-3)[0], rtol=1e-6)


def test_one_micro_batch_may_say_more_than_its_rows():
    found = []
    for path in ('inverse', 'thin'):
        net = small_nets.build('perceptron')
        optimizer = KFAC(paths=path, lr=0.1, acc_iters=2).setup(net)
        for step in range(6):
            x, t = small_nets.images(6, seed=step)
            if step in (0, 3, 4):       # first or last of its update
                optimizer.update(lambda x=x, t=t, net=net: with_penalty(net, x, t))
            else:
                optimizer.update(small_nets.Loss(net), x, t)
        found.append(np.concatenate([param.array.ravel() for param in net.params()]))
    assert_allclose(found[1], found[0], rtol=1e-6)


def test_the_gradient_after_an_update_is_the_preconditioned_one():
    net = small_nets.build('conv')
    optimizer = KFAC(lr=0.1, momentum=0, paths='thin').setup(net)
    for step in range(3):
        before = {name: param.array.copy() for name, param in net.namedparams()}
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))
        for name, param in net.namedparams():
            assert_allclose(param.array - before[name], -0.1 * param.grad, rtol=1e-9, atol=1e-15)
