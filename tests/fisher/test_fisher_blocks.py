"""What every registered Fisher block must do, layer type by layer type."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import (
    Convolution2DBlock,
    FisherBlock,
    LinearBlock,
    block_class,
    register,
    registered,
)
from chainer_kfac.optimizers import KFAC
from chainer_kfac.optimizers.backprop import backprop

# Link class -> makers of such a link and the shape of its input.
CASES = {
    L.Linear: [
        (lambda: L.Linear(5, 4), (7, 5)),
        (lambda: L.Linear(5, 4, nobias=True), (7, 5)),
    ],
    L.Convolution2D: [
        (lambda: L.Convolution2D(3, 4, 3, pad=1), (5, 3, 4, 5)),
        (lambda: L.Convolution2D(3, 2, (2, 3), stride=(1, 2), pad=(0, 2), nobias=True),
         (5, 3, 4, 5)),
        (lambda: L.Convolution2D(4, 6, 2, groups=2, dilate=2), (5, 4, 5, 5)),
        (lambda: L.Convolution2D(4, 4, 2, groups=4), (5, 4, 3, 3)),
    ],
}
ALL = [(link_class, *case) for link_class, cases in CASES.items() for case in cases]


def test_every_registered_block_is_listed():
    assert set(registered()) == set(CASES)


def recorded(make, shape):
    """A block in float64 that has seen one batch, and its gradients."""
    with chainer.using_config('dtype', np.dtype('float64')):
        link = make()
    random = np.random.RandomState(0)
    for param in link.params():
        param.array[...] = random.normal(size=param.shape)
    KFAC().setup(link)
    link.cleargrads()
    block = block_class(link)(link, '/layer')
    y = link(random.normal(size=shape))
    backprop(F.mean(F.sum(F.reshape(F.tanh(y), (len(y), -1)), axis=1)), [block], 'empirical', None,
             factors=True, loss_scale=None)
    block.update_factors(1.0)
    grads = [param.grad for param in block.params]
    assert all(np.isfinite(grad).all() and grad.any() for grad in grads)
    return block, grads


def explicit(block, grads, damping):
    """Solve with kron(G + sqrt(damping)/pi I, A + pi sqrt(damping) I), group by group."""
    A, G = (f if f.ndim == 3 else f[None] for f in (block.factors.A, block.factors.G))
    columns = [grads[0].reshape(len(A), G.shape[1], -1)]
    if len(grads) > 1:
        columns.append(grads[1].reshape(len(A), -1, 1))
    D = np.concatenate(columns, axis=2)
    solved = np.empty_like(D)
    for j, (a, g) in enumerate(zip(A, G, strict=True)):
        pi = np.sqrt(np.trace(a) / len(a) / (np.trace(g) / len(g)))
        matrix = np.kron(g + np.sqrt(damping) / pi * np.eye(len(g)),
                         a + np.sqrt(damping) * pi * np.eye(len(a)))
        solved[j] = np.linalg.solve(matrix, D[j].ravel()).reshape(D[j].shape)
    weight = solved[:, :, :solved.shape[2] - (len(grads) - 1)].reshape(grads[0].shape)
    return [weight] if len(grads) == 1 else [weight, solved[:, :, -1].reshape(grads[1].shape)]


@pytest.mark.parametrize('link_class, make, shape', ALL)
class TestConformance:
    @pytest.mark.parametrize('damping', [1e-4, 0.1, 3.0])
    @pytest.mark.parametrize('solve', [False, True])
    def test_preconditions_as_the_explicit_matrix(self, link_class, make, shape, damping, solve):
        block, grads = recorded(make, shape)
        block.factors.path = block.factors.path._replace(solve=solve)
        recovery = block.update_inverses(damping, 'tracenorm', True)
        assert not recovery.retried
        wanted = explicit(block, grads, damping)
        for found, expected in zip(block.precondition(grads), wanted, strict=True):
            assert_allclose(found, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())

    def test_gradients_and_averages_are_left_alone(self, link_class, make, shape):
        block, grads = recorded(make, shape)
        kept = [array.copy() for array in (*grads, block.factors.A, block.factors.G)]
        block.update_inverses(0.1, 'tracenorm', True)
        block.precondition(grads)
        for before, now in zip(kept, (*grads, block.factors.A, block.factors.G), strict=True):
            assert_array_equal(before, now)

    def test_a_new_damping_acts_at_once(self, link_class, make, shape):
        block, grads = recorded(make, shape)
        for damping in (0.1, 10.0, 0.1):
            block.update_inverses(damping, 'tracenorm', True)
            assert_allclose(block.precondition(grads)[0], explicit(block, grads, damping)[0],
                            rtol=1e-7, atol=1e-12)

    @pytest.mark.parametrize('solve', [False, True])
    def test_serializes_with_and_without_inverses(self, link_class, make, shape, solve):
        block, grads = recorded(make, shape)
        block.factors.path = block.factors.path._replace(solve=solve)
        block.update_inverses(0.1, 'tracenorm', True)
        wanted = [array.copy() for array in block.precondition(grads)]
        saved = {}
        block.serialize(chainer.serializers.DictionarySerializer(saved))
        other = block_class(block.link)(block.link, '/layer')
        other.serialize(chainer.serializers.NpzDeserializer(saved))
        for found, expected in zip(other.precondition(grads), wanted, strict=True):
            assert_array_equal(found, expected)
        saved.clear()
        block.serialize(chainer.serializers.DictionarySerializer(saved), with_inverses=False)
        other.serialize(chainer.serializers.NpzDeserializer(saved))
        assert other.factors.sides is None
        assert_array_equal(other.factors.A, block.factors.A)
        assert_array_equal(other.factors.G, block.factors.G)


def test_one_example_is_exact():
    """N = 1: the Kronecker form is not an approximation."""
    block, (dW, db) = recorded(lambda: L.Linear(5, 4), (1, 5))
    D = np.hstack([dW, db[:, None]]).ravel()
    assert_allclose(np.kron(block.factors.G, block.factors.A), np.outer(D, D), rtol=1e-12)


def test_a_block_covers_subclasses_and_nothing_else():
    class MyLinear(L.Linear):
        pass

    assert block_class(MyLinear(2, 3)) is LinearBlock
    assert block_class(L.Convolution2D(1, 1, 1)) is Convolution2DBlock
    assert block_class(L.BatchNormalization(3)) is None
    assert block_class(L.Deconvolution2D(1, 1, 1)) is None


def test_register_adds_a_link_type(monkeypatch):
    monkeypatch.setattr('chainer_kfac.fisher.registry._BLOCK_CLASSES', registered())

    @register(L.Bias)
    class BiasBlock(FisherBlock):
        pass

    assert block_class(L.Bias(shape=(3,))) is BiasBlock
    assert registered()[L.Bias] is BiasBlock


def run(link, y):
    KFAC().setup(link)
    block = block_class(link)(link, '/layer')
    backprop(F.mean(y), [block], 'empirical', None, factors=True, loss_scale=None)
    block.update_factors(1.0)
    return block.factors


def test_a_call_of_the_plain_function_is_a_call_of_the_link():
    x = np.random.RandomState(0).normal(size=(4, 5)).astype(np.float32)
    link = L.Linear(5, 3)
    through_link = run(link, link(x))
    through_function = run(link, F.linear(x, link.W, link.b))
    assert_array_equal(through_link.A, through_function.A)
    assert_array_equal(through_link.G, through_function.G)


def test_a_call_with_the_weight_alone_is_an_input_of_zero_to_the_bias():
    x = np.random.RandomState(0).normal(size=(4, 5)).astype(np.float32)
    link = L.Linear(5, 3)
    factors = run(link, F.linear(x, link.W))
    assert_allclose(factors.A[:5, :5], x.T @ x / 4, rtol=1e-5)
    assert not factors.A[5].any()
    assert not factors.A[:, 5].any()


def test_options_are_those_of_the_call():
    x = np.random.RandomState(0).normal(size=(4, 2, 6, 6)).astype(np.float32)
    link = L.Convolution2D(2, 3, 3)
    factors = run(link, F.convolution_2d(x, link.W, link.b, stride=3, pad=2))
    like = L.Convolution2D(2, 3, 3, stride=3, pad=2, initialW=link.W.array)
    assert_array_equal(factors.A, run(like, like(x)).A)


def test_what_a_convolution_cannot_do_is_refused():
    x = np.ones((2, 2, 6, 6), np.float32)
    link = L.Convolution2D(2, 2, 3, nobias=True)
    with pytest.raises(ConfigError, match='/layer was called with cover_all'):
        run(link, F.convolution_2d(x, link.W, cover_all=True))
    with pytest.raises(ConfigError, match='/layer was used with 1 groups and with 2'):
        run(link, F.convolution_2d(x, link.W)
            + F.convolution_2d(np.ones((2, 4, 6, 6), np.float32), link.W, groups=2))


def test_rows_beyond_the_examples_are_positions():
    """n_batch_axes = 2 under a loss that is a mean over examples only."""
    x = np.random.RandomState(0).normal(size=(3, 4, 5))
    with chainer.using_config('dtype', np.dtype('float64')):
        link = L.Linear(5, 2)
        chain = chainer.Sequential(link)
    KFAC().setup(chain)
    block = block_class(link)(link, '/layer')
    y = F.sum(link(x, n_batch_axes=2), axis=1)
    backprop(F.mean_squared_error(y, np.zeros((3, 2))), [block], 'empirical', None, factors=True,
             loss_scale=None)
    block.update_factors(1.0)
    a = np.concatenate([x.reshape(12, 5), np.ones((12, 1))], axis=1)
    g = np.repeat(y.array, 4, axis=0)       # of one example: d/dy of |y|^2 / 2
    assert_allclose(block.factors.A, a.T @ a / 3, rtol=1e-12)
    assert_allclose(block.factors.G, g.T @ g / 12, rtol=1e-12)
