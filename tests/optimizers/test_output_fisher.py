"""Output distributions: seeds whose second moment is the Fisher matrix, and clear refusals."""
import chainer
import chainer.functions as F
import numpy as np
import pytest
import small_nets
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.optimizers import KFAC, output_fisher


def scores(examples=4, classes=3):
    y = np.random.RandomState(0).normal(size=(examples, classes)) * 2
    return chainer.Variable(y)


def labels(values):
    return np.array(values, np.int32)


def second_moment(seeds, examples):
    """Sum over seeds of the outer products, for each example's own loss."""
    return sum((examples * seed)[:, :, None] * (examples * seed)[:, None, :] for seed in seeds)


def softmax_fisher(y):
    p = F.softmax(y).array
    return np.array([np.diag(row) - np.outer(row, row) for row in p])


def test_exact_softmax_seeds():
    y = scores()
    found = output_fisher.find(F.softmax_cross_entropy(y, labels([0, 1, 2, 0])))
    assert (found.examples, found.terms) == (4, 4.0)
    assert_allclose(second_moment(found.exact_seeds(), 4), softmax_fisher(y), atol=1e-12)


def test_sampled_softmax_seeds_average_to_the_exact_ones():
    y = scores()
    found = output_fisher.find(F.softmax_cross_entropy(y, labels([0, 1, 2, 0])))
    random = np.random.default_rng(0)
    draws = 4000
    mean = sum(second_moment([found.sampled_seed(random)], 4) for _ in range(draws)) / draws
    assert_allclose(mean, softmax_fisher(y), atol=0.03)


def test_a_drawn_label_is_a_label_of_the_loss():
    """The seed is the gradient that the loss itself has at the drawn labels."""
    y = scores()
    seed = output_fisher.find(F.softmax_cross_entropy(y, labels([0] * 4))).sampled_seed(
        np.random.default_rng(3))
    drawn = labels((seed < 0).argmax(axis=1))
    gradient, = chainer.grad([F.softmax_cross_entropy(y, drawn)], [y])
    assert_allclose(seed, gradient.array, rtol=1e-10, atol=1e-15)


def test_gaussian_seeds():
    y = scores(5, 4)
    found = output_fisher.find(F.mean_squared_error(y, np.zeros((5, 4))))
    wanted = np.broadcast_to(np.eye(4) * 2 / 4, (5, 4, 4))
    assert_allclose(second_moment(found.exact_seeds(), 5), wanted, atol=1e-14)
    random = np.random.default_rng(0)
    mean = sum(second_moment([found.sampled_seed(random)], 5) for _ in range(4000)) / 4000
    assert_allclose(mean, wanted, atol=0.05)


def test_the_model_may_be_either_argument_of_a_squared_error():
    y, t = scores(), np.zeros((4, 3))
    for loss in (F.mean_squared_error(y, t), F.mean_squared_error(t, y)):
        assert output_fisher.find(loss).output is y


def test_ignored_labels_do_not_count():
    y = scores()
    found = output_fisher.find(F.softmax_cross_entropy(y, labels([0, -1, 2, -1])))
    assert (found.examples, found.terms) == (4, 2.0)
    for seed in (*found.exact_seeds(), found.sampled_seed(np.random.default_rng(0))):
        assert not seed[[1, 3]].any()
        assert seed[[0, 2]].any()


def test_a_batch_with_ignored_labels_is_the_batch_without_them():
    """In G, in the gradient and so in the step; A sees all inputs."""
    x, t = small_nets.images(8)
    keep = np.arange(8) % 3 > 0
    steps = []
    for images, kept in ((x, np.where(keep, t, -1)), (x[keep], t[keep])):
        net = small_nets.build('linear')
        optimizer = KFAC().setup(net)
        loss = F.softmax_cross_entropy(net(images), kept.astype(np.int32))
        optimizer.backward(loss)
        optimizer.blocks[0].update_factors(1.0)
        steps.append((optimizer.blocks[0].G, net.fc.W.grad))
    assert_allclose(steps[0][0], steps[1][0], rtol=1e-12)
    assert_allclose(steps[0][1], steps[1][1], rtol=1e-12)


def test_unnormalised_loss_divides_by_the_batch():
    found = output_fisher.find(F.softmax_cross_entropy(
        scores(), labels([0, -1, 2, -1]), normalize=False))
    assert found.terms == 4.0


def test_soft_targets_have_the_same_distribution():
    y = scores()
    hard = output_fisher.find(F.softmax_cross_entropy(y, labels([0, 1, 2, 0])))
    soft = output_fisher.find(F.softmax_cross_entropy(y, np.full((4, 3), 1 / 3)))
    for one, other in zip(hard.exact_seeds(), soft.exact_seeds(), strict=True):
        assert_array_equal(one, other)


def _sum_of_two(y, t):
    return F.softmax_cross_entropy(y, t) + F.sum(y * y)


def _double_backprop(y, t):
    return F.softmax_cross_entropy(y, t, enable_double_backprop=True)


def _averaged_outside(y, t):
    return F.mean(F.softmax_cross_entropy(y, t, reduce='no'))


def _class_weight(y, t):
    return F.softmax_cross_entropy(y, t, class_weight=np.array([1.0, 2.0, 0.5], y.dtype))


def _two_outputs(y, t):
    return F.mean_squared_error(y, 2 * y)


def _pixels(y, t):
    return F.softmax_cross_entropy(F.reshape(y, (len(t), 3, 1)), t[:, None])


@pytest.mark.parametrize('fisher', ['mc', 'exact'])
@pytest.mark.parametrize(
    'function', [_sum_of_two, _double_backprop, _averaged_outside, _class_weight, _two_outputs,
                 _pixels])
def test_another_loss_needs_the_empirical_fisher(function, fisher):
    net = small_nets.build('perceptron')
    x, t = small_nets.images(6)
    loss = small_nets.Loss(net, function)
    before = net.fc1.W.array.copy()
    optimizer = KFAC(fisher=fisher).setup(net)
    with pytest.raises(ConfigError, match="fisher='empirical'"):
        optimizer.update(loss, x, t)
    assert_array_equal(net.fc1.W.array, before)
    KFAC().setup(net).update(loss, x, t)
    assert not np.array_equal(net.fc1.W.array, before)


def test_a_layer_inside_forget_needs_the_empirical_fisher():
    net = small_nets.build('perceptron')
    x, t = small_nets.images(6)

    def loss(x, t):
        return F.softmax_cross_entropy(net.fc2(F.forget(net.fc1, x)), t)

    KFAC().setup(net).update(loss, x, t)
    with pytest.raises(ConfigError, match='forget'):
        KFAC(fisher='exact').setup(net).update(loss, x, t)
