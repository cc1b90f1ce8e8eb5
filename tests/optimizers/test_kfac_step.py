"""A whole optimizer step against dense linear algebra in float64."""
import chainer.functions as F
import numpy as np
import pytest
import small_nets
from chainer.optimizer_hooks import GradientClipping, WeightDecay
from dense_kfac import DenseKFAC

from chainer_kfac.fisher import kronecker
from chainer_kfac.fisher.path import Path
from chainer_kfac.optimizers import KFAC

HYPER = {'lr': 0.1, 'momentum': 0.7, 'cov_ema_decay': 0.8, 'damping': 0.05}
TOLERANCE = {'float64': 1e-9, 'float32': 3e-4, 'float16': 3e-2}


def params(net):
    return {name: param.array.astype(np.float64) for name, param in sorted(net.namedparams())}


def change(before, after):
    return np.concatenate([(after[name] - before[name]).ravel() for name in sorted(before)])


def assert_same_training(name, dtype='float64', steps=3, examples=6, squared_error=False,
                         paths=None, tolerance=None, **hyper):
    """The package and the reference move the weights alike; errors relative to the move."""
    net = small_nets.build(name, dtype)
    reference = small_nets.build(name)
    reference.copyparams(net)
    for _, param in reference.namedparams():
        param.array = param.array.astype(np.float64)
    hyper = {**HYPER, **hyper}
    dense = DenseKFAC(reference, squared_error=squared_error, **hyper)
    decay = hyper.pop('weight_decay', 0.0)
    optimizer = KFAC(paths=paths, **hyper)
    optimizer.setup(net)
    if decay:
        optimizer.add_hook(WeightDecay(decay))
    loss = small_nets.Loss(net, F.mean_squared_error if squared_error else F.softmax_cross_entropy)
    for step in range(steps):
        before = params(reference)
        x, t = small_nets.images(examples, seed=step)
        if squared_error:
            t = small_nets.targets(examples, seed=step)
        dense.update(x, t)
        optimizer.update(loss, x.astype(dtype), t.astype(dtype) if squared_error else t)
        wanted = change(before, params(reference))
        error = change(params(reference), params(net))
        assert np.linalg.norm(wanted) > 1e-3
        assert np.linalg.norm(error) < (tolerance or TOLERANCE[dtype]) * np.linalg.norm(wanted)
    assert optimizer.diagnostics['updates'] == steps
    assert optimizer.diagnostics['float64_retries'] == 0


@pytest.mark.parametrize('fisher', ['empirical', 'mc', 'exact'])
@pytest.mark.parametrize('name', list(small_nets.NETS))
def test_every_layer_and_fisher(name, fisher):
    assert_same_training(name, fisher=fisher, steps=2)


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
@pytest.mark.parametrize('fisher', ['empirical', 'mc', 'exact'])
@pytest.mark.parametrize('name', ['perceptron', 'conv, groups', 'shared'])
def test_every_precision(name, fisher, dtype):
    assert_same_training(name, dtype, fisher=fisher, steps=2)


@pytest.mark.parametrize('fisher', ['empirical', 'mc', 'exact'])
@pytest.mark.parametrize('dtype', ['float64', 'float32'])
def test_squared_error(fisher, dtype):
    assert_same_training('perceptron', dtype, fisher=fisher, squared_error=True)


@pytest.mark.parametrize('ema_weighs', ['new', 'old'])
@pytest.mark.parametrize('decay', [0.0, 0.3, 1.0])
def test_both_readings_of_the_decay(ema_weighs, decay):
    if ema_weighs == 'new' and decay == 0.0:
        decay = 0.01
    assert_same_training('perceptron', cov_ema_decay=decay, ema_weighs=ema_weighs, steps=4)


@pytest.mark.parametrize('intervals', [(1, 3), (2, 2), (3, 1), (2, 3)])
def test_intervals(intervals):
    factors, inverses = intervals
    assert_same_training('conv, stride', factor_update_interval=factors,
                         inverse_update_interval=inverses, steps=7)


@pytest.mark.parametrize('weight_decay', [1e-3, 0.2])
def test_weight_decay_is_coupled_and_bounds_the_damping(weight_decay):
    assert_same_training('perceptron', weight_decay=weight_decay)   # 0.2 exceeds the damping


def test_even_split_of_the_damping():
    assert_same_training('conv', pi_type='none')


def test_many_steps():
    assert_same_training('conv, dilated', steps=12)


PATHS = ['inverse', 'solve', 'thin', 'rows', Path(solve=True, thin=True),
         Path(rows_A=True, window=11), Path(rows_G=True, window=11, thin=True),
         Path(solve=True, rows_A=True, window=11, thin=True)]


@pytest.mark.parametrize('dtype', ['float64', 'float32', 'float16'])
@pytest.mark.parametrize('weight_decay', [0.0, 1e-2])
@pytest.mark.parametrize('path', PATHS, ids=str)
def test_every_path(path, weight_decay, dtype):
    """0.8 of the average is new, so a window of 11 batches leaves out 2e-8 of its weight."""
    tolerance = {'float64': 1e-6, 'float32': 1e-3, 'float16': 3e-2}[dtype]
    assert_same_training('perceptron', dtype, steps=3, weight_decay=weight_decay, paths=path,
                         tolerance=tolerance)


@pytest.mark.parametrize('fisher', ['empirical', 'mc', 'exact'])
@pytest.mark.parametrize('path', PATHS, ids=str)
@pytest.mark.parametrize('name', ['linear without bias', 'shared'])
def test_every_path_and_fisher(name, path, fisher):
    paths = path
    if name == 'shared':
        paths = {'/fc': path, '/out': path}
    assert_same_training(name, fisher=fisher, paths=paths, tolerance=1e-6)


@pytest.mark.parametrize('path', ['rows', 'thin', Path(solve=True, thin=True)], ids=str)
@pytest.mark.parametrize('interval', [2, 3])
def test_paths_between_refreshes(path, interval):
    assert_same_training('perceptron', paths=path, factor_update_interval=interval,
                         inverse_update_interval=interval, steps=7, tolerance=1e-6)


def test_a_window_equals_the_average_long_after_it_is_full():
    assert_same_training('linear', paths=Path(rows_A=True, rows_G=True, window=4, thin=True),
                         cov_ema_decay=0.99, steps=12, tolerance=1e-6)


@pytest.mark.parametrize('path', ['thin', 'rows'])
def test_a_hook_of_another_kind_is_preconditioned_along_any_path(path):
    x, t = small_nets.images(6)
    found = []
    for paths in ('inverse', path):
        net = small_nets.build('perceptron')
        optimizer = KFAC(paths=paths, **HYPER).setup(net)
        optimizer.add_hook(GradientClipping(1e-2))
        optimizer.add_hook(WeightDecay(1e-2))
        for _ in range(3):
            optimizer.update(small_nets.Loss(net), x, t)
        found.append(np.concatenate([param.array.ravel() for param in net.params()]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_small_changes_of_a_float16_parameter_add_up():
    """Each step is a third of a unit in the last place; weights set from outside are kept."""
    net = small_nets.build('linear', 'float16')
    net.fc.W.array[...] = 1.5
    optimizer = KFAC(lr=1e-9, momentum=0).setup(net)
    loss = small_nets.Loss(net)
    x, t = small_nets.images(6, 'float16')
    optimizer.update(loss, x, t)
    optimizer.lr *= 3e-4 / np.abs(net.fc.W.update_rule.state['v']).max()
    optimizer.update(loss, x, t)
    assert (net.fc.W.array == 1.5).all()
    for _ in range(8):
        optimizer.update(loss, x, t)
    assert (net.fc.W.array != 1.5).any()
    net.fc.W.array[...] = 1.0
    optimizer.lr = 1e-9
    optimizer.update(loss, x, t)
    assert (net.fc.W.array == 1.0).all()


@pytest.mark.parametrize('path', ['inverse', 'solve', 'rows'])
def test_inverting_all_layers_together_is_the_same(path, monkeypatch):
    """What a GPU does, on arrays of the CPU."""
    calls = []
    original = kronecker.first_attempts
    monkeypatch.setattr(kronecker, '_are_on_host', lambda requests: False)
    monkeypatch.setattr(kronecker, 'first_attempts', lambda requests: (
        calls.append(len(requests)) or original(requests)))
    assert_same_training('conv, groups', paths=path, tolerance=1e-6)
    assert calls == [3, 3, 3]
