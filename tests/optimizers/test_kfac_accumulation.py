"""Micro-batches add up to the large batch."""
import chainer.functions as F
import numpy as np
import pytest
import small_nets
from chainer.optimizer_hooks import WeightDecay
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.optimizers import KFAC


def steps(name, sizes, *, repeats=2, function=F.softmax_cross_entropy, labels=None, **hyper):
    """Weights after ``repeats`` updates of micro-batches of these sizes."""
    net = small_nets.build(name)
    optimizer = KFAC(lr=0.1, damping=0.01, acc_iters=len(sizes), cov_ema_decay=0.7, **hyper)
    optimizer.setup(net)
    optimizer.add_hook(WeightDecay(1e-3))
    for repeat in range(repeats):
        x, t = small_nets.images(sum(sizes), seed=repeat)
        if labels is not None:
            t = labels(t)
        for part, end in zip(sizes, np.cumsum(sizes), strict=True):
            assert optimizer.t == repeat
            optimizer.update(small_nets.Loss(net, function), x[end - part:end], t[end - part:end])
    assert optimizer.t == repeats
    return np.concatenate([param.array.ravel() for _, param in sorted(net.namedparams())])


@pytest.mark.parametrize('name', ['perceptron', 'conv, groups', 'shared'])
@pytest.mark.parametrize('fisher', ['empirical', 'exact'])
def test_four_of_32_are_128(name, fisher):
    assert_allclose(steps(name, [32] * 4, fisher=fisher), steps(name, [128], fisher=fisher),
                    rtol=1e-9, atol=1e-12)


def test_unequal_parts():
    assert_allclose(steps('conv', [5, 16, 3]), steps('conv', [24]), rtol=1e-9, atol=1e-12)


def test_parts_with_different_numbers_of_ignored_labels():
    def ignore(t):
        return np.where(np.arange(len(t)) < len(t) // 3, -1, t).astype(np.int32)

    assert_allclose(steps('conv', [8, 8, 8], labels=ignore), steps('conv', [24], labels=ignore),
                    rtol=1e-9, atol=1e-12)


def test_loss_of_any_kind():
    def function(y, t):
        return F.softmax_cross_entropy(y, t) + 0.1 * F.sum(y * y) / len(y)

    assert_allclose(steps('conv', [12, 12], function=function),
                    steps('conv', [24], function=function), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('scales', [(8.0, 8.0), (8.0, 16.0), (8.0, None), (None, 8.0)])
def test_the_loss_scale_may_change_between_parts(scales):
    def run(scales):
        net = small_nets.build('conv')
        optimizer = KFAC(damping=0.01, acc_iters=2).setup(net)
        for seed, optimizer.loss_scale in enumerate(scales):
            optimizer.update(small_nets.Loss(net), *small_nets.images(6, seed=seed))
        return net.fc.W.array

    assert_allclose(run(scales), run((None, None)), rtol=1e-12)


def test_only_the_last_part_changes_anything():
    net = small_nets.build('conv')
    optimizer = KFAC(acc_iters=3).setup(net)
    before = net.fc.W.array.copy()
    for _ in range(2):
        optimizer.update(small_nets.Loss(net), *small_nets.images(6))
        assert_array_equal(net.fc.W.array, before)
    optimizer.update(small_nets.Loss(net), *small_nets.images(6))
    assert not np.array_equal(net.fc.W.array, before)


def test_a_bad_part_spoils_its_update_only():
    net = small_nets.build('conv')
    optimizer = KFAC(acc_iters=2).setup(net)
    before = net.fc.W.array.copy()
    x, t = small_nets.images(6)
    optimizer.update(small_nets.Loss(net), x * np.nan, t)
    optimizer.update(small_nets.Loss(net), x, t)
    assert_array_equal(net.fc.W.array, before)
    assert optimizer.diagnostics['skipped_updates'] == 1
    for _ in range(2):
        optimizer.update(small_nets.Loss(net), x, t)
    assert optimizer.diagnostics['updates'] == 1


def test_acc_iters_may_change_between_updates():
    net = small_nets.build('conv')
    optimizer = KFAC(acc_iters=2).setup(net)
    for acc_iters, calls in ((2, 2), (1, 1), (3, 3)):
        optimizer.acc_iters = acc_iters
        t = optimizer.t
        for _ in range(calls):
            assert optimizer.t == t
            optimizer.update(small_nets.Loss(net), *small_nets.images(6))
        assert optimizer.t == t + 1
