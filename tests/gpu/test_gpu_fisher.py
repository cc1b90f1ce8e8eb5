"""Factors, damping, averages and preconditioning on a card."""
import numpy as np
import pytest
from comparison import compare

from chainer_kfac.fisher import damping, ema, factors, recovery
from chainer_kfac.fisher.autocorrelation import explicit_second_moment, spectral_second_moment
from chainer_kfac.fisher.estimate import Batch, Estimate, Use
from chainer_kfac.fisher.kronecker import KroneckerFactors, invert_together
from chainer_kfac.fisher.path import Path
from chainer_kfac.linalg import Workspace


def linear(bias):
    def case(place):
        return {'A': factors.linear_A(place.normal(12, 7), bias),
                'G': factors.linear_G(place.normal(12, 5) / 12, loss_scale=8.0)}
    return case


def convolution(shape, ksize, stride=1, pad=0, dilate=1, groups=1, bias=True):
    def case(place):
        return {'A': factors.conv_A(place.normal(*shape), ksize, stride, pad, dilate, groups, bias),
                'G': factors.conv_G(place.normal(*shape), groups)}
    return case


def spectral(shape, ksize, pad, groups, bias):
    def case(place):
        x, workspace = place.normal(*shape), Workspace()
        first = spectral_second_moment(x, ksize, pad, 1, groups, bias, workspace=workspace)
        again = spectral_second_moment(x, ksize, pad, 1, groups, bias, workspace=workspace)
        explicit = explicit_second_moment(x, ksize, 1, pad, 1, groups, bias)
        return {'first': first, 'again': again, 'explicit': explicit}
    return case


def channels_last(place):
    x = place.normal(6, 9, 9, 4).transpose(0, 3, 1, 2)
    return {'A': factors.conv_A(x, 3, 1, 1), 'G': factors.conv_G(x)}


def averages(place):
    average = None
    for _ in range(3):
        average = ema.update(average, place.positive_definite(4), 0.3)
    A, G = place.positive_definite(4), place.positive_definite(6)
    return {'average': average, 'pi': place.xp.asarray(damping.pi_of(A, G), place.dtype),
            'damped': damping.add_to_diagonal(A, 0.25, out=place.poisoned(4, 4))}


def layer(path, batches=3, thin=False):
    """Rows of a layer through averages, inverses and the preconditioned gradient."""
    def case(place):
        rows, n, d = 6, 5, 8
        state = KroneckerFactors(True)
        state.path = path
        for _ in range(batches):
            estimate, use = Estimate(), Use(None, rows, rows)
            use.x, use.gy = place.normal(rows, d), place.normal(rows, n) / rows
            estimate.add([use], Batch(rows, float(rows)))
            state.update(estimate, 0.9)
        outcome, = invert_together([(state, 0.1)], 'tracenorm', True)
        out = place.poisoned(1, n, d), place.poisoned(1, n)
        if path.thin:
            state.precondition_rows(estimate, True, (out[0][0], out[1][0]), decay=0.01,
                                    W=place.normal(n, d), b=place.normal(n))
        else:
            state.precondition(place.normal(1, n, d), place.normal(1, n), out)
        return {'W': out[0], 'b': out[1], 'skipped': place.xp.asarray(outcome.skipped)}
    return case


def attempted(place):
    """Whether float32 and float64 agree that good factors can be inverted, and others cannot."""
    good = place.positive_definite(5)
    requests = [recovery.Request(A, good, 1e-2) for A in (good, -100 * good)]
    requests.append(recovery.Request(good * place.dtype.type(np.nan), good, 1e-2))
    return {'ok': place.xp.stack([place.xp.asarray(ok)
                                  for _, ok in recovery.first_attempts(requests)])}


def recovered(place):
    """A factor that float32 cannot invert, one that nothing can, and one that is not finite."""
    good, singular = place.positive_definite(5), place.normal(5, 1)
    singular = singular @ singular.T
    requests = [recovery.Request(A, good, 1e-2) for A in (good, -100 * good, singular)]
    requests.append(recovery.Request(good * place.dtype.type(np.nan), good, 1e-2))
    found = [recovery.damped_sides(*request[:4]) for request in requests]
    return {'skipped': place.xp.asarray([each.skipped for each in found])}


CASES = {
    'linear': linear(True), 'linear without bias': linear(False),
    'convolution 5x5': convolution((7, 3, 12, 12), 5, pad=2),
    'convolution with strides': convolution((5, 4, 9, 7), (3, 2), (2, 1), (1, 0)),
    'dilated': convolution((4, 2, 11, 11), 3, pad=2, dilate=2),
    'groups': convolution((4, 6, 8, 8), 3, pad=1, groups=3, bias=False),
    'one by one': convolution((3, 5, 4, 4), 1),
    'many channels': convolution((2, 24, 3, 3), 3, pad=1),
    'spectral': spectral((9, 3, 10, 10), 5, 2, 1, True),
    'spectral with groups': spectral((5, 4, 7, 9), 3, 0, 2, False),
    'channels last': channels_last, 'averages': averages,
    'inverses': layer(Path()), 'solves': layer(Path(solve=True)),
    'rows of one batch': layer(Path(rows_A=True, rows_G=True, thin=True), batches=1),
    'rows of three batches': layer(Path(rows_A=True, rows_G=True, window=3, thin=True)),
    'rows of one side': layer(Path(rows_G=True, window=3)),
    'thin': layer(Path(thin=True)), 'recovery': recovered,
    'first attempts': attempted,
}


@pytest.mark.parametrize('name', CASES)
def test_equals_float64(xp, name):
    compare(CASES[name], xp, 2e-3 if 'rows' in name or name in ('thin', 'solves', 'inverses')
            else 2e-4)
