"""Steps of K-FAC on a card: every way of computing them, every kind of Fisher, and resuming."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from comparison import compare

from chainer_kfac.models import LeNet5
from chainer_kfac.optimizers import KFAC, natural_gradient


class Net(chainer.Chain):
    """A convolution in groups, one with a stride, and two linear layers, small enough to compare.

    The weight of the last is used twice.
    """

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.grouped = L.Convolution2D(4, 6, 3, pad=1, groups=2)
            self.strided = L.Convolution2D(6, 5, 3, stride=2, nobias=True)
            self.hidden = L.Linear(45, 9)
            self.out = L.Linear(9, 9)
            self.scale = chainer.Parameter(1.0, (9,))

    def forward(self, x):
        h = F.tanh(self.strided(F.tanh(self.grouped(x))))
        h = F.tanh(self.out(F.tanh(self.hidden(h))))
        return self.out(h) * F.broadcast_to(self.scale, h.shape)


def steps(make=Net, updates=3, decay=0.0, loss=F.softmax_cross_entropy, shape=(8, 4, 7, 7),
          classes=9, tracked=True, **options):
    """Parameters, momenta and averages after some updates."""
    def case(place):
        model = make()
        model.to_device(place.device)
        for param in model.params():
            if param.array is not None and param.ndim:
                param.array[...] = place.normal(*param.shape) * (
                    param.array[0].size ** -0.5 if param.ndim > 1 else 0.1)
        given = {'lr': 0.01, 'damping': 0.05, 'cov_ema_decay': 0.7} | options
        optimizer = KFAC(**given).setup(model)
        if decay:
            optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(decay))
        for _ in range(updates * given.get('acc_iters', 1)):
            x, t = place.normal(*shape), place.integers(classes, shape[0])
            optimizer.update(lambda x, t: loss(model(x), t), x, t)
        assert optimizer.diagnostics['updates'] == updates
        found = {name: param.array for name, param in model.namedparams()}
        for block in optimizer.blocks if tracked else ():
            found |= {block.name + ' A': block.A, block.name + ' G': block.G}
        return found
    return case


def squared(y, t):
    return F.mean_squared_error(y, F.cast(t[:, None] * y.xp.ones(y.shape, y.dtype), y.dtype))


def exact_gradient(place):
    model = L.Linear(4, 3)
    model.to_device(place.device)
    found = natural_gradient(model, lambda x, t: F.softmax_cross_entropy(model(x), t),
                             place.normal(5, 4), place.integers(3, 5), damping=0.1)
    return {str(i): array.astype(place.dtype) for i, array in enumerate(found)}


CASES = {
    'as it comes': steps(), 'weight decay': steps(decay=0.1),
    'inverses': steps(paths='inverse'), 'solves': steps(paths='solve'),
    'thin': steps(paths='thin', decay=0.1),
    'rows': steps(paths='rows', cov_ema_decay=0.99999999),
    'rows with decay': steps(paths='rows', cov_ema_decay=0.99999999, decay=0.1),
    'windows of rows': steps(paths='rows', cov_ema_decay=0.999, updates=4),
    'LU': steps(use_cholesky=False), 'mc': steps(fisher='mc'), 'exact': steps(fisher='exact'),
    'squared error': steps(loss=squared, fisher='exact'),
    'squared error, mc': steps(loss=squared, fisher='mc'),
    'intervals': steps(updates=5, factor_update_interval=2, inverse_update_interval=3),
    'micro-batches': steps(acc_iters=2), 'clipped': steps(kl_clip=1e-4),
    'loss scale': steps(loss_scale=256.0), 'old average': steps(ema_weighs='old'),
    'even split': steps(pi_type='none', adjust_momentum=True),
    'natural gradient': exact_gradient,
    'LeNet5': steps(make=lambda: LeNet5(dropout=0.0), updates=1, shape=(3, 3, 28, 28), classes=10,
                    tracked=False),
}


@pytest.mark.parametrize('name', CASES)
def test_equals_float64(xp, name):
    # among LeNet5's units, one may be on the other side of zero in the other precision
    compare(CASES[name], xp, 2e-2 if name == 'LeNet5' else 5e-3)


def test_nan_is_not_followed(xp):
    device = chainer.get_device('@numpy' if xp is np else '@cupy:0')
    model = Net()
    model.to_device(device)
    optimizer = KFAC(damping=0.1).setup(model)
    x = device.send(np.random.randn(4, 4, 7, 7).astype(np.float32))
    t = device.send(np.arange(4, dtype=np.int32))
    with chainer.using_device(device):
        optimizer.update(lambda x, t: F.softmax_cross_entropy(model(x), t), x, t)
        before = [param.array.copy() for param in model.params()]
        A = optimizer.blocks[0].A.copy()
        x[1, 2, 3, 3] = np.nan
        optimizer.update(lambda x, t: F.softmax_cross_entropy(model(x), t), x, t)
    assert optimizer.diagnostics['skipped_updates'] == 1
    assert all(bool((a == p.array).all()) for a, p in zip(before, model.params(), strict=True))
    assert bool((A == optimizer.blocks[0].A).all())


def test_a_loaded_optimizer_goes_on(xp, tmp_path):
    device = chainer.get_device('@numpy' if xp is np else '@cupy:0')

    def make():
        model = L.Classifier(LeNet5(dropout=0.0))
        model.to_device(device)
        return model, KFAC(lr=0.01, damping=0.05).setup(model)

    random = np.random.default_rng(0)
    batches = [(device.send(random.standard_normal((4, 3, 28, 28), np.float32)),
                device.send(random.integers(0, 10, 4).astype(np.int32))) for _ in range(3)]
    with chainer.using_device(device):
        model, optimizer = make()
        for batch in batches[:2]:
            optimizer.update(model, *batch)
        chainer.serializers.save_npz(tmp_path / 'model.npz', model)
        chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
        optimizer.update(model, *batches[2])
        loaded, other = make()
        chainer.serializers.load_npz(tmp_path / 'model.npz', loaded)
        chainer.serializers.load_npz(tmp_path / 'optimizer.npz', other)
        other.update(loaded, *batches[2])
    for name, param in model.namedparams():
        again = dict(loaded.namedparams())[name].array
        scale = float(abs(param.array).max())
        assert float(abs(param.array - again).max()) <= 1e-5 * scale, name


@pytest.mark.parametrize('dtype', ['float16', 'mixed16'])
def test_half_precision_learns(xp, dtype):
    """float16 parameters follow their float32 copies; the loss of one batch falls."""
    device = chainer.get_device('@numpy' if xp is np else '@cupy:0')
    kind = chainer.mixed16 if dtype == 'mixed16' else np.float16
    with chainer.using_device(device), chainer.using_config('dtype', kind):
        model = L.Classifier(Net(), lossfun=lambda y, t: F.softmax_cross_entropy(
            F.cast(y, np.float32), t))
        model.to_device(device)
        random = np.random.default_rng(0)
        x = device.send(random.standard_normal((8, 4, 7, 7)).astype(np.float16))
        t = device.send(random.integers(0, 9, 8).astype(np.int32))
        optimizer = KFAC(lr=0.02, damping=0.05, loss_scale=64.0).setup(model)
        losses = []
        for _ in range(6):
            optimizer.update(model, x, t)
            losses.append(float(model.loss.array))
    assert optimizer.diagnostics['skipped_updates'] == 0
    assert losses[-1] < 0.9 * losses[0]
