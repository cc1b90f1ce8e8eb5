"""How the path of each layer is chosen, forced, said, kept and left."""
import logging

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
import small_nets
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.path import Path
from chainer_kfac.optimizers import KFAC, planning

ROWS = Path(rows_A=True, rows_G=True, window=4, thin=True)


def optimized(paths, steps=2, name='perceptron', **hyper):
    net = small_nets.build(name)
    optimizer = KFAC(paths=paths, **hyper).setup(net)
    for step in range(steps):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))
    return net, optimizer


def paths_of(optimizer):
    return {block.name: block.factors.path for block in optimizer.blocks}


def test_small_layers_take_the_plain_way():
    assert set(paths_of(optimized(None)[1]).values()) == {Path()}


def test_one_word_for_all():
    assert paths_of(optimized('rows', name='conv')[1]) == {'/conv': Path(), '/fc': ROWS}
    assert paths_of(optimized('solve', name='conv')[1]) == dict.fromkeys(
        ['/conv', '/fc'], Path(solve=True))


def test_each_layer_its_own():
    found = paths_of(optimized({'/fc2': 'rows', '/fc1': Path(solve=True, thin=True)})[1])
    assert found == {'/fc1': Path(solve=True, thin=True), '/fc2': ROWS}


@pytest.mark.parametrize('paths, hyper, message', [
    ({'/fc1': 'fast'}, {}, "'fast' of /fc1 is not known"),
    ('fast', {}, "'fast' of /fc1 is not known"),
    ({'/fc9': 'rows'}, {}, '/fc9, which is not a covered layer'),
    ({'/fc1': 'rows'}, {'damping': 0}, 'does not fit'),
    ({'/fc1': 'rows'}, {'ema_weighs': 'old'}, 'does not fit'),
    ({'/fc1': 'rows'}, {'inverse_update_interval': 2}, 'does not fit'),
    ({'/fc1': 'rows'}, {'use_cholesky': False}, 'does not fit'),
    ({'/fc1': ROWS._replace(window=2)}, {}, 'does not fit'),
])
def test_a_path_that_cannot_be_taken_is_refused(paths, hyper, message):
    with pytest.raises(ConfigError, match=message):
        optimized(paths, **hyper)


def test_a_convolution_has_no_rows():
    with pytest.raises(ConfigError, match="'rows' of /conv does not fit"):
        optimized({'/conv': 'rows'}, name='conv')


def test_the_choice_is_logged(caplog):
    with caplog.at_level(logging.INFO, 'chainer_kfac.optimizers.planning'):
        optimized({'/fc1': 'rows'})
    assert [record.getMessage().split(' (')[0] for record in caplog.records] == [
        '/fc1: A and G as rows of 4 batches, rows preconditioned before their product',
        '/fc2: inverses']


def wide_layer():
    random = np.random.RandomState(0)
    link = L.Linear(1200, 500, initialW=random.normal(size=(500, 1200)).astype(np.float32) * 0.01)
    x = random.normal(size=(16, 1200)).astype(np.float32)
    return link, x, random.normal(size=(16, 500)).astype(np.float32)


def chosen(monkeypatch, *ratios, **hyper):
    """The path of a wide layer if its choice is measured ``ratios`` times the runner-up's 1 s."""
    link, x, t = wide_layer()
    measured = []

    def measure(block, path, schedule):
        measured.append(path)
        return ratios[len(measured) // 2] if len(measured) % 2 else 1.0

    monkeypatch.setattr(planning, 'measure', measure)
    optimizer = KFAC(**hyper).setup(link)
    optimizer.update(lambda: F.mean_squared_error(link(x), t))
    return optimizer.blocks[0].factors.path, measured


def test_a_wide_layer_at_a_small_batch_is_preconditioned_in_sample_space(monkeypatch):
    assert chosen(monkeypatch, 1.0)[0] == ROWS


def test_slow_averages_at_intervals_take_inverses_and_thin_rows(monkeypatch):
    path, _ = chosen(monkeypatch, 1.0, cov_ema_decay=0.95, ema_weighs='old',
                     factor_update_interval=10, inverse_update_interval=100)
    assert path == Path(thin=True)


def test_timings_overrule_the_model_only_when_they_are_clear(monkeypatch):
    hyper = {'cov_ema_decay': 0.95, 'ema_weighs': 'old', 'inverse_update_interval': 10}
    first, measured = chosen(monkeypatch, 1.0, **hyper)
    assert len(measured) == 2
    assert first == measured[0]
    assert chosen(monkeypatch, 1.2, **hyper) == (first, measured)
    again = measured * 2
    assert chosen(monkeypatch, 2.0, 1.2, **hyper) == (first, again)
    assert chosen(monkeypatch, 2.0, 2.0, **hyper) == (measured[1], again)


def test_a_half_precision_layer_is_measured_in_float32():
    with chainer.using_config('dtype', np.float16):
        model = L.Linear(1024, 10)
    optimizer = KFAC(damping=0.01, loss_scale=8.0).setup(model)
    random = np.random.RandomState(0)
    x, t = random.normal(size=(32, 1024)).astype(np.float16), random.randint(0, 10, 32)
    optimizer.update(lambda: F.softmax_cross_entropy(model(x), t.astype(np.int32)))
    assert optimizer.diagnostics['updates'] == 1


@pytest.mark.parametrize('path', [Path(), Path(solve=True), Path(thin=True), ROWS])
def test_measuring_disturbs_nothing(path):
    link, x, t = wide_layer()

    def loss():
        return F.mean_squared_error(link(x), t)

    optimizer = KFAC(paths='inverse').setup(link)
    before = link.W.array.copy()
    recorded = chainer_uses(optimizer, loss)
    block = optimizer.blocks[0]
    grad = link.W.grad.copy()
    block.uses = recorded
    seconds = planning.measure(block, path, planning.cost.Schedule())
    assert 0 < seconds < 10
    assert block.uses is recorded
    assert block.factors.A is None
    assert_array_equal(link.W.array, before)
    assert_array_equal(link.W.grad, grad)


def chainer_uses(optimizer, loss):
    """The uses that a pass records, before they are closed."""
    kept = []
    original = planning.plan
    planning.plan = lambda optimizer, blocks: kept.extend(blocks[0].uses)
    try:
        optimizer.backward(loss())
    finally:
        planning.plan = original
    return kept


def test_a_resumed_run_repeats_the_choice(tmp_path):
    net, optimizer = optimized({'/fc1': 'rows', '/fc2': 'solve'})
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    other = small_nets.build('perceptron')
    resumed = KFAC().setup(other)
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', resumed)
    resumed.update(small_nets.Loss(other), *small_nets.images(6))
    assert paths_of(resumed) == paths_of(optimizer)


@pytest.mark.parametrize('change', [
    {'cov_ema_decay': 0.3}, {'ema_weighs': 'old'}, {'inverse_update_interval': 3},
    {'damping': 0.0}])
def test_rows_are_left_when_they_would_no_longer_be_right(change, caplog):
    """From the step of the change on, the result is that of the plain way."""
    found = []
    for paths in ('rows', 'inverse'):
        net = small_nets.build('linear')
        loss = small_nets.Loss(net, F.mean_squared_error)
        optimizer = KFAC(paths=paths, lr=0.05).setup(net)
        with caplog.at_level(logging.INFO, 'chainer_kfac.optimizers.planning'):
            for step in range(8):
                if step == 5:
                    for name, value in change.items():
                        setattr(optimizer, name, value)
                optimizer.update(loss, small_nets.images(12, seed=step)[0],
                                 small_nets.targets(12, seed=step))
        found.append(net.fc.W.array)
        assert optimizer.diagnostics['updates'] == 8
    assert_allclose(found[0], found[1], rtol=1e-6)
    assert 'keeps its averages as matrices from iteration' in caplog.text


def test_a_snapshot_between_leaving_the_rows_and_the_next_inverse(tmp_path):
    """The inverses in use still are those of the rows."""
    net = small_nets.build('linear')
    optimizer = KFAC(paths='rows').setup(net)

    def train(optimizer, net, steps):
        for step in steps:
            optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=step))

    train(optimizer, net, range(3))
    optimizer.inverse_update_interval = 4
    train(optimizer, net, range(3, 5))
    assert type(optimizer.blocks[0].factors.sides[0][0]).__name__ == 'SampleSide'
    assert isinstance(optimizer.blocks[0].factors.A, np.ndarray)
    for target, file in ((net, 'net.npz'), (optimizer, 'optimizer.npz')):
        chainer.serializers.save_npz(tmp_path / file, target)
    other = small_nets.build('linear')
    resumed = KFAC(inverse_update_interval=4).setup(other)
    for target, file in ((other, 'net.npz'), (resumed, 'optimizer.npz')):
        chainer.serializers.load_npz(tmp_path / file, target)
    for which, model in ((optimizer, net), (resumed, other)):
        train(which, model, range(5, 9))
    assert_array_equal(net.fc.W.array, other.fc.W.array)


def test_a_call_without_bias_needs_the_plain_way():
    link = L.Linear(6, 3)
    x, t = small_nets.images(6, 'float32')
    x = x.reshape(6, -1)[:, :6]

    def update(optimizer, bias):
        optimizer.update(lambda: F.softmax_cross_entropy(F.linear(x, link.W, bias), t))

    optimizer = KFAC(paths={'/': 'thin'}).setup(link)
    update(optimizer, link.b)
    with pytest.raises(ConfigError, match="choose paths={'/': 'inverse'}"):
        update(optimizer, None)
    optimizer = KFAC().setup(link)
    update(optimizer, link.b)
    update(optimizer, None)
    assert optimizer.diagnostics['updates'] == 2
