"""The functions, links, optimizers and hooks of Chainer that models and trainings use."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from comparison import compare

from chainer_kfac.models import LeNet5


def gradients(function, *inputs):
    """Outputs and the gradients of a weighted sum of them at all inputs."""
    def case(place):
        variables = [chainer.Variable(make(place)) for make in inputs]
        y = function(*variables)
        y.grad = place.normal(*y.shape) if y.ndim else place.xp.ones((), place.dtype)
        y.backward()
        return {'y': y.array} | {
            'gradient {}'.format(i): v.grad for i, v in enumerate(variables) if v.grad is not None}
    return case


def floats(*shape):
    return lambda place: place.normal(*shape)


def labels(n, classes):
    return lambda place: place.integers(classes, n)


def link(make, *shape):
    """A link with its own weights, forward, backward, and the gradients of its parameters."""
    def case(place):
        model = make()
        model.to_device(place.device)
        x = chainer.Variable(place.normal(*shape))
        y = model(x)
        for param in model.params():
            param.array[...] = place.normal(*param.shape)
        model.cleargrads()
        y = model(x)
        y.grad = place.normal(*y.shape)
        y.backward()
        return {'y': y.array, 'x': x.grad} | {
            name: param.grad for name, param in model.namedparams()}
    return case


class Net(chainer.Chain):
    """The layers of LeNet5, a few of each."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 5, pad=2)
            self.hidden = L.Linear(4 * 21, 7)
            self.out = L.Linear(7, 10)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.conv(x)), 3, stride=2)
        h = F.spatial_pyramid_pooling_2d(h, 3, pooling='max')
        return self.out(F.relu(self.hidden(h)))


def training(make, decay=0.0):
    """Three updates: parameters and losses."""
    def case(place):
        model = L.Classifier(Net())
        model.to_device(place.device)
        optimizer = make().setup(model)
        if decay:
            optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(decay))
        x, t = place.normal(6, 3, 12, 12), place.integers(10, 6)
        losses = []
        for _ in range(3):
            optimizer.update(model, x, t)
            losses.append(model.loss.array)
        return {'losses': place.xp.stack(losses), 'accuracy': model.accuracy.array} | {
            name: param.array for name, param in model.namedparams()}
    return case


def evaluated(place):
    model = L.Classifier(LeNet5())
    model.to_device(place.device)
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        loss = model(place.normal(3, 3, 32, 32), place.integers(10, 3))
    return {'loss': loss.array, 'accuracy': model.accuracy.array}


IMAGES = floats(3, 4, 9, 8)
CASES = {
    'convolution': gradients(lambda x, W, b: F.convolution_2d(x, W, b, pad=2),
                             IMAGES, floats(6, 4, 5, 5), floats(6)),
    'convolution with strides': gradients(
        lambda x, W, b: F.convolution_2d(x, W, b, stride=(2, 1), pad=(1, 0), dilate=2),
        IMAGES, floats(6, 4, 3, 3), floats(6)),
    'convolution in groups': gradients(lambda x, W: F.convolution_2d(x, W, pad=1, groups=2),
                                       IMAGES, floats(6, 2, 3, 3)),
    'linear': gradients(F.linear, floats(7, 5), floats(4, 5), floats(4)),
    'ReLU': gradients(F.relu, IMAGES),
    'max pooling': gradients(lambda x: F.max_pooling_2d(x, 3, 2), IMAGES),
    'max pooling, no cover': gradients(
        lambda x: F.max_pooling_2d(x, 3, 2, pad=1, cover_all=False), IMAGES),
    'average pooling': gradients(lambda x: F.average_pooling_2d(x, 3, 2, pad=1), IMAGES),
    'pyramid': gradients(lambda x: F.spatial_pyramid_pooling_2d(x, 3, pooling='max'), IMAGES),
    'softmax cross entropy': gradients(F.softmax_cross_entropy, floats(9, 10), labels(9, 10)),
    'cross entropy with ignored labels': gradients(
        lambda y, t: F.softmax_cross_entropy(y, t - 1), floats(9, 10), labels(9, 11)),
    'mean squared error': gradients(F.mean_squared_error, floats(4, 3), floats(4, 3)),
    'accuracy': lambda place: {'y': F.accuracy(place.normal(9, 4), place.integers(4, 9))},
    'cast': lambda place: {'y': F.cast(place.normal(3), np.float16)},
    'batch normalisation': link(lambda: L.BatchNormalization(4), 3, 4, 5, 5),
    'Linear': link(lambda: L.Linear(None, 5), 4, 3),
    'Convolution2D': link(lambda: L.Convolution2D(None, 5, 3, pad=1, nobias=True), 2, 3, 6, 6),
    'SGD': training(lambda: chainer.optimizers.MomentumSGD(lr=0.01)),
    'SGD with decay': training(lambda: chainer.optimizers.MomentumSGD(lr=0.01), decay=0.1),
    'Adam': training(lambda: chainer.optimizers.Adam(alpha=1e-3, eps=1e-4)),
    'evaluation': evaluated,
}


@pytest.mark.parametrize('name', CASES)
def test_equals_float64(xp, name):
    # float16 of a float64 is that of the float32 but for a last bit
    compare(CASES[name], xp, 2e-3 if name in ('cast', 'Adam') else 2e-4)


def test_dropout(xp):
    device = chainer.get_device('@numpy' if xp is np else '@cupy:0')
    x = device.send(np.full((200, 500), 3.0, np.float32))
    with chainer.using_device(device):
        variable = chainer.Variable(x)
        y = F.dropout(variable, 0.25)
        y.grad = xp.ones_like(x)
        y.backward()
        assert F.dropout(x, 0.25).array is not y.array
    kept = y.array != 0
    assert bool((y.array[kept] == np.float32(4)).all())
    assert bool((variable.grad == kept * np.float32(1 / 0.75)).all())
    assert abs(float(kept.mean()) - 0.75) < 0.01


@pytest.mark.gpu
def test_without_a_training_mode_there_is_no_dropout_on_a_card():
    import cupy
    x = cupy.ones((3, 3), np.float32)
    with chainer.using_config('train', False):
        assert F.dropout(x, 0.5).array is x
