"""K-FAC against the exact natural gradient."""
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
import small_nets
from numpy.testing import assert_allclose

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.optimizers import KFAC, fisher_matrix, natural_gradient


@pytest.mark.parametrize('nobias', [False, True])
def test_a_linear_layer_with_gaussian_noise_takes_the_exact_step(nobias):
    """Exact Fisher, no damping, more examples than inputs: K-FAC is the natural gradient."""
    net = small_nets.build('linear without bias' if nobias else 'linear')
    x, t = small_nets.images(20)[0], small_nets.targets(20)
    loss = small_nets.Loss(net, F.mean_squared_error)
    before = [param.array.copy() for param in net.params()]
    wanted = natural_gradient(net, loss, x, t)
    KFAC(lr=0.3, momentum=0, damping=0, fisher='exact').setup(net).update(loss, x, t)
    for param, old, step in zip(net.params(), before, wanted, strict=True):
        assert_allclose(param.array - old, -0.3 * step, rtol=1e-7, atol=1e-10)


def test_that_step_solves_least_squares():
    """The squared error's Hessian is its Fisher matrix, so a full step ends at the optimum."""
    net = small_nets.build('linear')
    x, t = small_nets.images(20)[0], small_nets.targets(20)
    KFAC(lr=1, momentum=0, damping=0, fisher='exact').setup(net).update(
        small_nets.Loss(net, F.mean_squared_error), x, t)
    inputs = np.hstack([x.reshape(20, -1)[:, :6], np.ones((20, 1))])
    solution = np.linalg.lstsq(inputs, t, rcond=None)[0]
    assert_allclose(net.fc.W.array, solution[:-1].T, rtol=1e-6, atol=1e-8)
    assert_allclose(net.fc.b.array, solution[-1], rtol=1e-6, atol=1e-8)


def test_one_example_with_the_exact_fisher_is_exact():
    """For one example the block-diagonal of the exact Fisher matrix is kron(G, A) itself."""
    net = small_nets.build('perceptron')
    x, t = small_nets.images(1)
    loss = small_nets.Loss(net)
    fisher = fisher_matrix(net, loss, x, t)
    optimizer = KFAC(fisher='exact').setup(net)
    optimizer.backward(loss(x, t))
    ends = dict(zip([name for name, _ in net.namedparams()],
                    np.cumsum([param.size for param in net.params()]), strict=True))
    optimizer.blocks[1].update_factors(1.0)
    end = ends['/fc2/W']
    wanted = fisher[end - net.fc2.W.size:end, end - net.fc2.W.size:end]
    block = optimizer.blocks[1]
    assert_allclose(np.kron(block.G, block.A), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('squared_error', [False, True])
def test_sampled_fisher_converges_to_the_exact_one(squared_error):
    """The error of the averaged G falls like 1 / sqrt(samples)."""
    net = small_nets.build('conv')
    x, t = small_nets.images(8)
    loss = small_nets.Loss(net)
    if squared_error:
        t, loss = small_nets.targets(8), small_nets.Loss(net, F.mean_squared_error)

    def factors_of(optimizer):
        optimizer.update(loss, x, t)
        return [block.G.copy() for block in optimizer.blocks]

    hyper = {'lr': 0, 'cov_ema_decay': 1}       # the averages are the newest factors
    exact = factors_of(KFAC(fisher='exact', **hyper).setup(net))
    optimizer = KFAC(fisher='mc', **hyper).setup(net)
    draws = [factors_of(optimizer) for _ in range(625)]
    for layer, G in enumerate(exact):
        parts = np.array([draw[layer] for draw in draws]).reshape((25, 25) + G.shape).mean(axis=1)
        of_25 = np.sqrt(((parts - G) ** 2).sum(axis=(1, 2)).mean()) / np.linalg.norm(G)
        of_625 = np.linalg.norm(parts.mean(axis=0) - G) / np.linalg.norm(G)
        assert of_625 < 0.08
        assert of_625 < of_25 / 2.5     # 1 / sqrt(25) on average


def test_fisher_matrix_is_symmetric_and_positive():
    net = small_nets.build('perceptron')
    x, t = small_nets.images(5)
    fisher = fisher_matrix(net, small_nets.Loss(net), x, t)
    assert fisher.shape == (sum(param.size for param in net.params()),) * 2
    assert_allclose(fisher, fisher.T)
    assert np.linalg.eigvalsh(fisher).min() > -1e-12


def test_fisher_matrix_of_an_unknown_loss_is_refused():
    link = L.Linear(2, 1)
    with pytest.raises(ConfigError, match='mean_squared_error'):
        fisher_matrix(link, lambda x: F.sum(link(x)), np.ones((3, 2), np.float32))
