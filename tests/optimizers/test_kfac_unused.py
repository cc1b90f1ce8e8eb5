"""Layers that a pass, a micro-batch or a whole update does not use."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
import small_nets
from chainer.optimizer_hooks import WeightDecay
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.optimizers import KFAC, natural_gradient

PATHS = ['inverse', 'solve', 'thin', 'rows']


class Heads(chainer.Chain):
    """A layer and two heads, of which each pass chooses."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.body = L.Linear(6, 5)
            self.left = L.Linear(5, small_nets.CLASSES)
            self.right = L.Linear(5, small_nets.CLASSES)

    def outputs(self, x, head):
        return head(F.tanh(self.body(x)))

    def loss(self, x, t, name):
        return F.softmax_cross_entropy(self.outputs(x, self[name]), t)


def start(**hyper):
    model = Heads()
    random = np.random.RandomState(0)
    for _, param in sorted(model.namedparams()):
        param.array = random.normal(size=param.shape)
    return model, KFAC(lr=0.1, damping=0.01, cov_ema_decay=0.99, **hyper).setup(model)


def data(examples, seed):
    random = np.random.RandomState(seed)
    return random.normal(size=(examples, 6)), random.randint(0, 3, examples).astype(np.int32)


def weights(model):
    return np.concatenate([param.array.ravel() for _, param in sorted(model.namedparams())])


@pytest.mark.parametrize('paths', PATHS)
@pytest.mark.parametrize('decay', [0.0, 1e-3])
def test_a_head_that_an_update_leaves_out_has_no_gradient(paths, decay):
    model, optimizer = start(paths=paths)
    plain, plain_optimizer = start(paths='inverse')
    for each in (optimizer, plain_optimizer):
        each.add_hook(WeightDecay(decay))
    for step in range(5):
        name = ('left', 'right')[step % 2]
        optimizer.update(model.loss, *data(8, step), name)
        plain_optimizer.update(plain.loss, *data(8, step), name)
    assert optimizer.diagnostics['updates'] == 5
    assert_allclose(weights(model), weights(plain), rtol=1e-5)


@pytest.mark.parametrize('paths', PATHS)
def test_a_head_that_a_micro_batch_leaves_out_is_as_in_one_batch(paths):
    parts, parts_optimizer = start(paths=paths, acc_iters=3)
    whole, whole_optimizer = start(paths=paths)
    for step in range(3):
        batches = [(*data(size, 3 * step + size), name)
                   for size, name in ((6, 'left'), (4, 'right'), (2, 'left'))]
        for batch in batches:
            parts_optimizer.update(parts.loss, *batch)

        def loss(batches=batches):
            return F.softmax_cross_entropy(
                F.concat([whole.outputs(x, whole[name]) for x, _, name in batches], axis=0),
                np.concatenate([t for _, t, _ in batches]))
        whole_optimizer.update(loss)
    assert_allclose(weights(parts), weights(whole), rtol=1e-6)


def test_a_snapshot_between_micro_batches_holds_what_one_of_them_left_out():
    def run(interrupted):
        model, optimizer = start(acc_iters=2, loss_scale=8.0)
        optimizer.update(model.loss, *data(8, 0), 'left')
        if interrupted:
            writer = chainer.serializers.DictionarySerializer()
            writer.save(optimizer)
            model, optimizer = start(acc_iters=2, loss_scale=8.0)
            chainer.serializers.NpzDeserializer(writer.target).load(optimizer)
        optimizer.update(model.loss, *data(8, 1), 'right')
        return weights(model)

    assert_array_equal(run(interrupted=True), run(interrupted=False))


@pytest.mark.parametrize('examples, intervals', [(32, (10, 20)), (128, (10, 10))])
def test_a_layer_that_is_let_loose_when_factors_are_not_due(examples, intervals):
    model = chainer.Sequential(L.Linear(512, 512), F.relu, L.Linear(512, 3))
    optimizer = KFAC(damping=0.01, factor_update_interval=intervals[0],
                     inverse_update_interval=intervals[1]).setup(model)
    model[0].disable_update()
    before = model[0].W.array.copy()
    random = np.random.RandomState(0)
    for step in range(12):
        if step == 3:
            model[0].enable_update()
        x = random.normal(size=(examples, 512)).astype(np.float32)
        t = random.randint(0, 3, examples).astype(np.int32)
        optimizer.update(lambda x=x, t=t: F.softmax_cross_entropy(model(x), t))
        assert np.array_equal(model[0].W.array, before) == (step < 3)
    assert optimizer.diagnostics['updates'] == 12
    assert optimizer.blocks[0].factors.ready


@pytest.mark.parametrize('paths', PATHS)
@pytest.mark.parametrize('decay', [0.0, 1e-3])
def test_a_batch_without_a_label_moves_by_momentum_and_decay_alone(paths, decay):
    model, optimizer = start(paths=paths)
    optimizer.add_hook(WeightDecay(decay))
    plain, plain_optimizer = start(paths='inverse')
    plain_optimizer.add_hook(WeightDecay(decay))
    for step in range(4):
        x, t = data(8, step)
        if step == 2:
            t[:] = -1
        optimizer.update(model.loss, x, t, 'left')
        plain_optimizer.update(plain.loss, x, t, 'left')
    assert optimizer.diagnostics['updates'] == 4
    assert_allclose(weights(model), weights(plain), rtol=1e-5)


def test_the_exact_method_leaves_unused_parameters_alone():
    model, _ = start()
    steps = natural_gradient(model, lambda x, t: model.loss(x, t, 'left'), *data(4, 0), damping=0.1)
    moved = dict(zip([name for name, _ in model.namedparams()], map(np.any, steps), strict=True))
    assert {name for name, any_ in moved.items() if not any_} == {'/right/W', '/right/b'}
