"""A step on a device makes the host wait once, and is as safe as one on the CPU.

The device is a stand-in in host memory that counts what the host reads: `stand_in_device`.
"""
import chainer
import chainer.functions as F
import numpy as np
import pytest
import small_nets
import stand_in_device
from numpy.testing import assert_allclose, assert_array_equal
from stand_in_device import to_device, to_host

from chainer_kfac.linalg import all_finite
from chainer_kfac.optimizers import KFAC

STEPS = 5


@pytest.fixture(autouse=True)
def reads():
    with stand_in_device.device() as counter:
        yield counter


class Training:
    """A small network, its optimizer, and what each step read."""

    def __init__(self, name='conv', *, on_device=True, dtype='float32', decay=0.0, ignored=0,
                 **hyper):
        self.net = small_nets.build(name, dtype)
        self.place = to_device if on_device else to_host
        if on_device:
            stand_in_device.move(self.net)
        self.optimizer = KFAC(**{'lr': 0.01, **hyper}).setup(self.net)
        if decay:
            self.optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(decay))
        self.loss = small_nets.Loss(self.net)
        self.dtype, self.ignored = dtype, ignored
        self.waits = []

    def step(self, spoil=lambda x, t: None, seed=None, loss=None):
        """One call of update; how often it waited."""
        seed = len(self.waits) if seed is None else seed
        x, t = small_nets.images(6, self.dtype, seed=seed)
        t[:self.ignored] = -1
        spoil(x, t)
        stand_in_device.DeviceArray.reads.clear()
        self.optimizer.update(loss or self.loss, self.place(x), self.place(t))
        self.waits.append(sum(stand_in_device.DeviceArray.reads.values()))

    def run(self, steps=STEPS):
        for _ in range(steps):
            self.step()
        return self

    @property
    def weights(self):
        return {name: to_host(param.array).copy() for name, param in self.net.namedparams()}

    @property
    def momenta(self):
        return {name: to_host(param.update_rule.state['v']).copy()
                for name, param in self.net.namedparams()}


def both(*args, **kwargs):
    """The same training on the device and on the CPU."""
    return Training(*args, **kwargs), Training(*args, on_device=False, **kwargs)


def assert_close(found, wanted, rtol=1e-4, atol=1e-5):
    assert found.keys() == wanted.keys()
    for name, expected in wanted.items():
        assert_allclose(found[name], expected, rtol=rtol, atol=atol, err_msg=name)


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, expected in wanted.items():
        assert_array_equal(found[name], expected)


OPTIONS = {
    'every step': {}, 'weight decay': {'decay': 0.1}, 'loss scale': {'loss_scale': 64.0},
    'kl clip': {'kl_clip': 1e-7}, 'kl clip that does not clip': {'kl_clip': 1e9},
    'intervals': {'factor_update_interval': 2, 'inverse_update_interval': 4},
    'labels left out': {'ignored': 2}, 'no label': {'ignored': 6, 'damping': 0.5},
    'LU': {'use_cholesky': False}, 'even split': {'pi_type': 'none', 'adjust_momentum': True},
    'old average': {'ema_weighs': 'old', 'cov_ema_decay': 0.3},
    'solves': {'paths': 'solve'}, 'thin': {'paths': 'thin', 'decay': 0.1},
    'rows': {'paths': 'rows', 'cov_ema_decay': 0.999, 'decay': 0.1, 'ignored': 1},
    'mc': {'fisher': 'mc', 'ignored': 1}, 'exact': {'fisher': 'exact', 'ignored': 1},
    'all at once': {'decay': 0.1, 'loss_scale': 64.0, 'kl_clip': 1e-7, 'ignored': 1,
                    'factor_update_interval': 2, 'inverse_update_interval': 3},
}


@pytest.mark.parametrize('name', OPTIONS)
def test_a_step_waits_once(name, reads):
    there, here = both(**OPTIONS[name])
    assert there.run().waits == [1] * STEPS, reads
    assert_close(there.weights, here.run().weights)
    assert dict(there.optimizer.diagnostics) == dict(here.optimizer.diagnostics)
    assert here.waits == [0] * STEPS


@pytest.mark.parametrize('name', small_nets.NETS)
def test_every_layer_type_waits_once(name):
    there, here = both(name)
    assert there.run(3).waits == [1] * 3
    assert_close(there.weights, here.run(3).weights)


def test_half_precision_waits_once():
    there, here = both('perceptron', dtype='float16', loss_scale=16.0)
    assert there.run().waits == [1] * STEPS
    assert_close(there.weights, here.run().weights, atol=2e-3)


def test_micro_batches_wait_once_each_at_most():
    there, here = both(acc_iters=3, ignored=1)
    assert max(there.run(9).waits) == 2       # the last of an update: for its labels, and the check
    assert_close(there.weights, here.run(9).weights)


def test_a_second_wait_is_counted(monkeypatch, reads):
    original = KFAC.check_directions

    def impatient(self, directions):
        assert all_finite([direction for _, direction in directions])
        original(self, directions)

    monkeypatch.setattr(KFAC, 'check_directions', impatient)
    assert Training().run(2).waits == [2, 2]
    assert all(place.startswith('linalg/reading.py:') for place in reads)


def spoil_input(x, t):
    x[2, 0, 1, 1] = np.nan


@pytest.mark.parametrize('hyper', [{}, {'factor_update_interval': 2}, {'fisher': 'mc'}])
@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
def test_a_nan_is_known_and_named_at_once(hyper, caplog):
    there, here = both(**hyper)
    for training in (there, here):
        training.run(2)
        before, momenta = training.weights, training.momenta
        averages = [(to_host(b.A).copy(), to_host(b.G).copy()) for b in training.optimizer.blocks]
        caplog.clear()
        training.step(spoil_input)
        assert 'iteration 2: update skipped, the loss is nan' in caplog.text
        assert_same(training.weights, before)
        assert_same(training.momenta, momenta)
        for block, (A, G) in zip(training.optimizer.blocks, averages, strict=True):
            assert_array_equal(to_host(block.A), A)
            assert_array_equal(to_host(block.G), G)
        training.run(2)
    assert there.waits == [1] * 5
    assert dict(there.optimizer.diagnostics) == dict(here.optimizer.diagnostics)
    assert_close(there.weights, here.weights)


@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
def test_the_parameter_with_a_nan_is_named(caplog):
    training = Training().run(1)
    training.step(loss=lambda x, t: training.loss(x, t) + F.sum(F.sqrt(F.relu(
        training.net.fc.b * 0))))
    assert 'in the gradients or factors of /fc/b; weights' in caplog.text


def spoiling(net):
    def spoil(optimizer):
        if optimizer.t == 2:
            net.fc.W.grad[0, 0] = np.inf
    return spoil


@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
def test_what_a_hook_spoils_is_not_followed_and_is_told_a_step_later(caplog):
    there, here = both()
    for training in (there, here):
        training.optimizer.add_hook(spoiling(training.net), name='spoil')
        training.run(2)
        before, momenta = training.weights, training.momenta
        caplog.clear()
        training.step()
        assert_same(training.weights, before)
        assert_same(training.momenta, momenta)
        told = 'iteration 2: update skipped, a preconditioned or hooked gradient is not finite'
        assert (told in caplog.text) == (training is here)
        training.step()
        assert told in caplog.text
    assert there.waits == [1] * 4
    assert dict(there.optimizer.diagnostics) == dict(here.optimizer.diagnostics)
    assert there.optimizer.diagnostics['skipped_updates'] == 1
    assert_close(there.weights, here.weights)


@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
@pytest.mark.parametrize('of', ['diagnostics', 'snapshot'])
def test_what_is_looked_at_or_saved_knows_of_the_last_step(of):
    training = Training()
    training.optimizer.add_hook(spoiling(training.net), name='spoil')
    training.run(3)
    if of == 'diagnostics':
        counts = training.optimizer.diagnostics
        assert (counts['updates'], counts['skipped_updates']) == (2, 1)
        return
    saved = chainer.serializers.DictionarySerializer()
    saved.save(training.optimizer)
    assert saved.target['diagnostics/counts'].tolist()[:2] == [2, 1]
    assert all(np.isfinite(array).all() for name, array in saved.target.items()
               if name.endswith('/v') or 'triangle' in name)


def spoil_factor(block, value):
    block.factors.A[0, 0] = value
    block.factors._inverted = None


def test_inverses_that_fail_cost_one_update_and_then_take_more_care(caplog):
    training = Training('perceptron', damping=1e-2, cov_ema_decay=0.0).run(2)
    A, G = (to_host(factor) for factor in (training.optimizer.blocks[0].A,
                                           training.optimizer.blocks[0].G))
    pi = np.sqrt(np.trace(A) / len(A) / (np.trace(G) / len(G)))
    spoil_factor(training.optimizer.blocks[0], -2.0 * pi * 0.1)   # twice what the damping adds
    before, momenta = training.weights, training.momenta
    training.step()
    assert_same(training.weights, before)
    assert_same(training.momenta, momenta)
    training.step()
    assert ('iteration 2: update skipped, the factors of /fc1 could not be inverted at the first '
            'attempt' in caplog.text)
    assert 'in float64 with damping 0.1' in caplog.text
    assert not np.array_equal(training.weights['/fc1/W'], before['/fc1/W'])
    counts = dict(training.optimizer.diagnostics)
    assert (counts['updates'], counts['skipped_updates']) == (3, 1)
    assert counts['raised_dampings'] >= 1
    spoil_factor(training.optimizer.blocks[0], 1.0)
    training.run(3)
    assert training.waits[-2:] == [1, 1]        # sound again, it is not waited for any more
    assert training.optimizer.diagnostics['skipped_updates'] == 1


def test_inverses_that_nobody_followed_are_looked_at_too():
    """One layer cannot be inverted at all, and another fails in the same step, not waited for."""
    training = Training('perceptron', damping=1e-2, cov_ema_decay=0.0,
                        inverse_update_interval=100).run(1)
    first, second = training.optimizer.blocks
    good = first.factors.A, second.factors.A
    first.factors.A, second.factors.A = -good[0], -good[1]
    first.factors.distrust()
    second.factors.sides = None
    before = training.weights
    training.step()
    first.factors.A, second.factors.A = good
    assert second.factors.sides is not None
    training.optimizer.settle()
    assert second.factors.sides is None
    training.run(2)
    assert training.optimizer.diagnostics['updates'] == 3
    assert training.optimizer.diagnostics['skipped_updates'] == 1
    assert not np.array_equal(training.weights['/fc1/W'], before['/fc1/W'])


@pytest.mark.filterwarnings('ignore:.*encountered in.*:RuntimeWarning')
def test_a_dynamic_loss_scale_hears_of_it():
    training = Training()
    training.optimizer.loss_scaling()
    training.optimizer.add_hook(spoiling(training.net), name='spoil')
    training.optimizer._loss_scale = 64.0
    training.run(3)
    grown = training.optimizer.loss_scale
    training.step()
    assert training.optimizer.loss_scale == grown / 2


def test_a_layer_that_is_never_seen_is_told_without_a_wait(caplog):
    training = Training('perceptron')
    with training.net.init_scope():
        training.net.other = chainer.links.Linear(3, 2)
    stand_in_device.move(training.net)
    training.optimizer.setup(training.net)
    for _ in range(3):
        training.step(loss=lambda x, t: training.loss(x, t) + F.sum(training.net.other.W ** 2))
    assert training.waits == [1, 1, 1]
    assert caplog.text.count('the weight of /other has a gradient, but not from a function') == 1
