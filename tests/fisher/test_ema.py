"""Both readings of cov_ema_decay, and the running average they weigh."""
import numpy as np
import pytest
from numpy.testing import assert_allclose

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import ema


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


def test_the_readings_are_one_minus_the_other():
    assert ema.weight_of_new(0.99, 'new') == 0.99
    assert ema.weight_of_new(0.99, 'old') == pytest.approx(0.01)
    assert ema.weight_of_new(0.99) == 0.99


@pytest.mark.parametrize('weight', [0.0, 0.3, 0.99, 1.0])
def test_the_average_is_the_sum_by_weights(xp, weight):
    factors = np.random.RandomState(0).randn(4, 3, 3)
    average = None
    for factor in factors:
        average = ema.update(average, xp.asarray(factor.copy()), weight)
    weights = [(1 - weight) ** 3] + [weight * (1 - weight) ** k for k in (2, 1, 0)]
    assert_allclose(to_host(average), np.tensordot(weights, factors, 1), atol=1e-14)


def test_the_first_factor_is_taken_as_it_is(xp):
    first = xp.ones((2, 2), 'f')
    assert ema.update(None, first, 0.1) is first


@pytest.mark.parametrize('decay, weighs', [
    (0.5, 'both'), (-0.1, 'new'), (1.1, 'old'), (float('nan'), 'new')])
def test_what_cannot_be_used(decay, weighs):
    with pytest.raises(ConfigError, match='choose'):
        ema.weight_of_new(decay, weighs)
