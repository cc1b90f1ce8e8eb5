"""LeNet5: sizes, initial weights, and the forward pass against plain NumPy."""
import chainer
import chainer.functions as F
import numpy as np
import pytest
from scipy import signal

from chainer_kfac import models
from chainer_kfac.exceptions import ConfigError


def conv(x, link):
    W, b = link.W.array.astype(np.float64), link.b.array
    return np.stack([[b[k] + sum(signal.correlate2d(np.pad(c, 2), w, 'valid')
                                 for c, w in zip(image, W[k], strict=True))
                      for k in range(len(W))] for image in x])


def windows_maximum(x, starts, size):
    """Maximum over windows that may reach over the edge, where there is nothing."""
    return np.stack([np.stack([x[:, :, max(i, 0):i + size, max(j, 0):j + size].max(axis=(2, 3))
                               for j in starts], -1) for i in starts], -2)


def pyramid(x, levels=3):
    """Spatial pyramid pooling as its formula in Chainer's documentation says."""
    side, features = x.shape[2], []
    for level in range(levels):
        bins = 2 ** level
        size = -(-side // bins)
        pad = (bins * size - side) // 2
        pooled = windows_maximum(x, range(-pad, bins * size - pad, size), size)
        assert pooled.shape[2:] == (bins, bins)
        features.append(pooled.reshape(len(x), -1))
    return np.concatenate(features, axis=1)


def slow_forward(net, x):
    def pool(h):
        return windows_maximum(h, range(0, h.shape[2] - 1, 2), 3)

    h = pool(np.maximum(conv(x, net.conv1), 0))
    h = pool(np.maximum(conv(h, net.conv2), 0))
    h = pyramid(np.maximum(conv(h, net.conv3), 0))
    h = np.maximum(h @ net.fc4.W.array.T + net.fc4.b.array, 0)
    return h @ net.fc5.W.array.T + net.fc5.b.array


def images(n, side):
    return np.random.RandomState(0).randn(n, 3, side, side).astype(np.float32)


@pytest.mark.parametrize('side', [7, 8])
def test_pyramid_pooling(xp, side):
    x = images(2, side) - 5  # all negative: padding must not win
    y = F.spatial_pyramid_pooling_2d(xp.asarray(x), 3, pooling='max')
    assert y.shape == (2, 63, 1, 1)
    np.testing.assert_array_equal(chainer.backends.cuda.to_cpu(y.array)[:, :, 0, 0], pyramid(x))


@pytest.mark.parametrize('side', [7, 8])
def test_pyramid_pooling_gradient(side):
    x = chainer.Variable(images(2, side))
    y = F.spatial_pyramid_pooling_2d(x, 3, pooling='max')
    gy = np.random.RandomState(1).randn(*y.shape).astype(np.float32)
    y.grad = gy
    y.backward()
    eps = 1e-3
    for at in [(0, 0, 0, 0), (1, 2, side - 1, side - 1), (0, 1, 3, 4), (1, 0, 4, 2)]:
        shifted = [x.array.astype(np.float64) for _ in range(2)]
        shifted[0][at] += eps
        shifted[1][at] -= eps
        slope = ((pyramid(shifted[0]) - pyramid(shifted[1])) * gy[:, :, 0, 0]).sum() / (2 * eps)
        assert x.grad[at] == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize('side', [28, 32])
def test_forward(side):
    np.random.seed(0)
    net = models.build('lenet5')
    for link in (net.conv1, net.conv2, net.conv3, net.fc4, net.fc5):
        link.b.array[...] = np.random.randn(*link.b.shape) / 10
    x = images(2, side)
    with chainer.using_config('train', False):
        y = net(x)
    assert y.shape == (2, 10)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array, slow_forward(net, x), rtol=1e-4, atol=1e-4)


def test_parameters():
    net = models.build('lenet5')
    shapes = {name: p.shape for name, p in net.namedparams()}
    assert shapes == {
        '/conv1/W': (32, 3, 5, 5), '/conv1/b': (32,), '/conv2/W': (32, 32, 5, 5), '/conv2/b': (32,),
        '/conv3/W': (64, 32, 5, 5), '/conv3/b': (64,), '/fc4/W': (4096, 1344), '/fc4/b': (4096,),
        '/fc5/W': (10, 4096), '/fc5/b': (10,)}
    assert net.count_params() == 5629418


def test_initial_weights_are_chainers_default():
    np.random.seed(1)
    net = models.build('lenet5')
    for _, p in net.namedparams():
        if p.ndim == 1:
            assert (p.array == 0).all()
            continue
        fan_in = p.size // len(p)
        assert abs(p.array.mean()) < 4 / np.sqrt(fan_in * p.size)
        assert p.array.std() * np.sqrt(fan_in) == pytest.approx(1, abs=4 / np.sqrt(2 * p.size))
    first = net.fc5.W.array.copy()
    np.random.seed(1)
    np.testing.assert_array_equal(models.build('lenet5').fc5.W.array, first)


@pytest.mark.parametrize('ratio', [0.5, 0.25])
def test_dropout_ratio(ratio):
    net = models.build('lenet5', dropout=ratio)
    seen = []

    class Record(chainer.LinkHook):
        def forward_preprocess(self, args):
            if args.link is net.fc5:
                seen.append(args.args[0].array)

    x = images(4, 28)
    with Record():
        with chainer.using_config('train', False):
            net(x)
        net(x)
    plain, dropped = seen
    alive = plain > 0
    kept = dropped[alive] != 0
    assert kept.mean() == pytest.approx(1 - ratio, abs=4 * np.sqrt(0.25 / alive.sum()))
    np.testing.assert_allclose(dropped[alive][kept] * (1 - ratio), plain[alive][kept], rtol=1e-5)


def test_without_dropout_training_is_deterministic():
    net, x = models.build('lenet5', dropout=0), images(2, 28)
    with chainer.using_config('train', False):
        y = net(x).array
    np.testing.assert_array_equal(net(x).array, y)


def test_number_of_classes():
    assert models.build('lenet5', n_classes=7)(images(1, 28)).shape == (1, 7)


def test_every_model_of_the_registry_takes_both_image_sizes():
    for name in models.REGISTRY:
        net = models.build(name)
        assert net(images(2, 28)).shape == net(images(2, 32)).shape == (2, 10)


@pytest.mark.parametrize(('arguments', 'part'), [
    (('lenet6',), "'lenet6'.*lenet5"), (('lenet5', 10, 1.0), 'dropout.*1.0'),
    (('lenet5', 10, -0.1), 'dropout.*-0.1')])
def test_what_cannot_be_built(arguments, part):
    with pytest.raises(ConfigError, match=part):
        models.build(*arguments)
