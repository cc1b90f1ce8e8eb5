"""ReLU, dropout and the update rules on kernels: bit for bit what Chainer computes."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from chainer import optimizer_hooks
from numpy.testing import assert_array_equal

from chainer_kfac import functions
from chainer_kfac.optimizers import KFAC, coverage

VALUES = np.array([-np.inf, -1, -0.0, 0.0, 1e-30, 1, np.inf, np.nan], np.float32)


def shapes_of(values):
    """The same numbers in arrays of several orders and shapes."""
    grid = np.resize(values, (2, 3, 8, 8))
    return {
        'scalar': np.array(values[5]), 'row': values, 'C': grid, 'gaps': grid[:, :, ::2],
        'last': np.ascontiguousarray(grid.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        'read-only': np.broadcast_to(values, (4, 8)), 'float64': grid.astype(np.float64),
        'float16': grid.astype(np.float16), 'empty': grid[:0],
    }


@pytest.mark.parametrize('kind', shapes_of(VALUES))
def test_relu_equals_chainer(kind):
    def run(fast):
        with functions.using(fast):
            x = chainer.Variable(shapes_of(VALUES)[kind])
            y = F.relu(x)
            y.grad = shapes_of(VALUES[::-1])[kind].copy()
            with np.errstate(invalid='ignore'):
                y.backward()
            return y.array, x.grad

    for fast, stock in zip(run(True), run(False), strict=True):
        assert fast.dtype == stock.dtype
        assert_array_equal(fast, stock)


def test_relu_gradient_of_a_gradient():
    with functions.using():
        x = chainer.Variable(np.array([-1, 2, 3], np.float32))
        gx, = chainer.grad([F.sum(F.relu(x) ** 3)], [x], enable_double_backprop=True)
        F.sum(gx).backward()
    assert_array_equal(x.grad, [0, 12, 18])


@pytest.mark.parametrize('ratio', [0.0, 0.3, 0.5])
def test_dropout_draws_and_computes_what_chainer_does(ratio):
    def run(fast):
        np.random.seed(3)
        with functions.using(fast):
            x = chainer.Variable(np.linspace(-1, 1, 120).reshape(4, 30).astype(np.float32))
            y, mask = F.dropout(x, ratio, return_mask=True)
            F.sum(y * y).backward()
            return y.array, mask, x.grad, np.random.rand()

    for fast, stock in zip(run(True), run(False), strict=True):
        assert_array_equal(fast, stock)


def test_dropout_with_a_given_mask_and_in_test_mode():
    x, mask = np.ones((2, 3), np.float32), np.array([[0, 2, 0], [2, 0, 2]], np.float32)
    with functions.using():
        assert_array_equal(F.dropout(x, mask=mask).array, mask)
        with chainer.using_config('train', False):
            assert_array_equal(F.dropout(x).array, x)


OPTIMIZERS = {
    'momentum SGD': lambda: chainer.optimizers.MomentumSGD(lr=0.03, momentum=0.7),
    'Adam': chainer.optimizers.Adam,
    'Adam with decay': lambda: chainer.optimizers.Adam(weight_decay_rate=0.1, eta=0.7),
    'AMSGrad': lambda: chainer.optimizers.Adam(amsgrad=True),
    'AdaBound': lambda: chainer.optimizers.Adam(adabound=True),
}


def trained(fast, make, dtype, order):
    random = np.random.RandomState(0)
    with functions.using(fast):
        link = chainer.Link()
        with link.init_scope():
            link.w = chainer.Parameter(
                np.asarray(random.standard_normal((300, 200)), dtype, order=order))
            link.unused = chainer.Parameter(np.ones(3, np.float32))
        optimizer = make().setup(link)
        optimizer.add_hook(optimizer_hooks.WeightDecay(0.01))
        for _ in range(4):
            link.cleargrads()
            link.w.grad = random.standard_normal((300, 200)).astype(dtype)
            optimizer.update()
    return [link.w.array, *(link.w.update_rule.state[key] for key in link.w.update_rule.state)]


@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('make', OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_updates_equal_chainer_bit_for_bit(make, dtype, order):
    for fast, stock in zip(trained(True, make, dtype, order), trained(False, make, dtype, order),
                           strict=True):
        assert_array_equal(fast, stock)


def test_momentum_of_kfac_is_the_same_bit_for_bit():
    def weights(fast):
        random = np.random.RandomState(0)
        with functions.using(fast):
            link = L.Linear(40, 30, initialW=random.standard_normal((30, 40)))
            optimizer = KFAC(lr=0.1).setup(link)
            for _ in range(3):
                x = random.standard_normal((8, 40)).astype(np.float32)
                optimizer.update(lambda x=x: F.mean(link(x) ** 2))
            return link.W.array

    assert_array_equal(weights(True), weights(False))


def test_kfac_knows_compiled_weight_decay_for_what_it_is():
    class Mine(optimizer_hooks.WeightDecay):
        pass

    for hook, expected in ((optimizer_hooks.WeightDecay, 0.01), (Mine, None)):
        for fast in (False, True):
            with functions.using(fast):
                link = L.Linear(4, 3)
                optimizer = KFAC().setup(link)
                optimizer.add_hook(hook(0.01))
            assert coverage.only_decay(optimizer, [link.W, link.b]) == expected


def test_adam_refuses_what_chainer_refuses():
    def refusal(fast):
        with functions.using(fast):
            link = chainer.Link()
            with link.init_scope():
                link.w = chainer.Parameter(np.ones(3, np.float32))
            optimizer = chainer.optimizers.Adam(eps=1e-60).setup(link)
            link.w.grad = np.ones(3, np.float32)
            with pytest.raises(Exception) as caught:  # noqa: PT011, B017 (which one is compared)
                optimizer.update()
            return caught.type

    assert refusal(True) is refusal(False)


def test_weight_decay_knows_the_loss_scale():
    with functions.using():
        w = chainer.Parameter(np.full(3, 2, np.float32))
        w.grad, w._loss_scale = np.zeros(3, np.float32), 8
        optimizer_hooks.WeightDecay(0.5)(None, w)
    assert_array_equal(w.grad, [8, 8, 8])
