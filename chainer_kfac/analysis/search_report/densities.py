"""The densities that TPE has made of the trials so far, by hyperopt's own code."""
import math

import numpy as np
from scipy.stats import norm

from chainer_kfac.compat import require
from chainer_kfac.search import results

POINTS = 160


def split(trials, name, gamma):
    """The values of a hyperparameter among the best trials and among the others.

    As TPE splits them: the best ceil(gamma sqrt(n)), at most 25; a trial without a loss counts as
    infinitely bad.
    """
    tpe = require('hyperopt.tpe', 'the report of a search')
    tids = [trial['tid'] for trial in trials]
    losses = [trial['result']['loss'] if results.is_good(trial) else math.inf for trial in trials]
    values = [trial['misc']['vals'][name][0] for trial in trials]
    return tpe.ap_split_trials(tids, values, tids, losses, gamma)


def curves(trials, dimension, gamma):
    """l and g of one hyperparameter.

    Args:
        trials (list of dict): of the experiment.
        dimension (Dimension): the hyperparameter.
        gamma (float): of TPE.
    Returns:
        (array, array, array): values, and both densities there, per unit of the prior's scale.
    """
    grid = np.linspace(*_bounds(dimension), POINTS)
    below, above = split(trials, dimension.name, gamma)
    densities = [_parzen(_scaled(values, dimension), grid) for values in (below, above)]
    return (np.exp(grid) if dimension.logarithmic else grid, *densities)


def _bounds(dimension):
    if dimension.logarithmic:
        return math.log(dimension.low), math.log(dimension.high)
    return dimension.low, dimension.high


def _scaled(values, dimension):
    return np.log(values) if dimension.logarithmic else np.asarray(values, float)


def _parzen(observed, grid):
    """Truncated mixture of normals with hyperopt's adaptive widths and the prior in it."""
    tpe = require('hyperopt.tpe', 'the report of a search')
    low, high = grid[0], grid[-1]
    weights, means, widths = tpe.adaptive_parzen_normal(observed, 1.0, (low + high) / 2, high - low)
    inside = norm.cdf(high, means, widths) - norm.cdf(low, means, widths)
    density = weights @ norm.pdf(grid, means[:, None], widths[:, None])
    return density / (weights @ inside) * (high - low)
