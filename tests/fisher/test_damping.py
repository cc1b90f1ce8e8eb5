"""The split of the damping, its limits, and what is added where."""
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import damping


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


def test_pi_balances_the_mean_eigenvalues(xp):
    A, G = xp.diag(xp.asarray([1.0, 2, 6])), xp.diag(xp.asarray([0.25, 0.75]))
    assert float(damping.pi_of(A, G)) == pytest.approx(math.sqrt(3 / 0.5))
    assert float(damping.pi(9.0, 3, 1.0, 2)) == pytest.approx(math.sqrt(6))
    assert damping.pi_of(A, G, 'none') == 1.0


@pytest.mark.parametrize('traces', [
    (0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (math.nan, 1.0), (1.0, math.inf), (math.inf, math.inf),
    (-1.0, 1.0)])
def test_pi_is_1_where_traces_say_nothing(xp, traces):
    trace_A, trace_G = map(xp.asarray, traces)
    assert float(damping.pi(trace_A, 2, trace_G, 3)) == 1.0


def test_pi_of_tiny_float32_traces():
    trace = np.float32(1e-30)
    assert damping.pi(trace, 1, trace * np.float32(1e-12), 1) == pytest.approx(1e6, rel=1e-3)


def test_terms_multiply_to_the_damping():
    term_A, term_G = damping.terms(0.04, 2.0)
    assert (term_A, term_G) == (0.4, 0.1)
    assert term_A * term_G == pytest.approx(0.04)


def test_the_larger_of_damping_and_l2():
    assert damping.effective_damping(0.03) == 0.03
    assert damping.effective_damping(0.03, 0.1) == 0.1
    assert damping.effective_damping(0.03, 5e-5) == 0.03


@pytest.mark.parametrize('order', 'CF')
def test_the_average_is_not_changed(xp, order):
    average = xp.array(np.random.RandomState(0).randn(4, 4), dtype='f', order=order)
    before = average.copy()
    damped = damping.add_to_diagonal(average, 0.5)
    assert damped.dtype == np.float32
    assert_array_equal(to_host(average), to_host(before))
    assert_allclose(to_host(damped), to_host(before) + 0.5 * np.eye(4), rtol=1e-6)
    out = xp.empty((4, 4), 'f')
    assert damping.add_to_diagonal(average, xp.asarray(0.5), out=out) is out
    assert_array_equal(to_host(out), to_host(damped))
    if order == 'C':
        assert damping.add_to_diagonal(average, 0.5, out=average) is average
        assert_array_equal(to_host(average), to_host(damped))


def test_unknown_types():
    with pytest.raises(ConfigError, match="'trace'; choose one of tracenorm, none"):
        damping.pi(1.0, 1, 1.0, 1, 'trace')
