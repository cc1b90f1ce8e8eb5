"""The hyperparameters of K-FAC: their ranges, and intervals that may be schedules."""
from collections.abc import Callable

import numpy as np

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.damping import check_pi_type
from chainer_kfac.fisher.ema import weight_of_new

NAMES = (
    'lr', 'momentum', 'cov_ema_decay', 'damping', 'stab_coeff', 'pi_type', 'use_cholesky',
    'loss_scale', 'adjust_momentum', 'acc_iters', 'ema_weighs', 'fisher',
    'factor_update_interval', 'inverse_update_interval', 'kl_clip')

FISHERS = ('empirical', 'mc', 'exact')

Interval = int | Callable[[int], int]

_RANGES = {
    # name: (smallest, whether that itself is allowed, largest)
    'lr': (0.0, True, None),
    'momentum': (0.0, True, None),
    'damping': (0.0, True, None),
    'stab_coeff': (0.0, False, None),
    'loss_scale': (0.0, False, None),
    'kl_clip': (0.0, False, None),
    'cov_ema_decay': (0.0, True, 1.0),
}
_OPTIONAL = ('loss_scale', 'kl_clip')


def check(hyperparam) -> None:
    """Raise ConfigError if a value of a `chainer.optimizer.Hyperparameter` cannot be used.

    Called at construction and before every step, for schedules may have changed any of them.
    """
    for name, limits in _RANGES.items():
        _check_number(name, getattr(hyperparam, name), *limits)
    check_pi_type(hyperparam.pi_type)
    weight_of_new(hyperparam.cov_ema_decay, hyperparam.ema_weighs)
    if hyperparam.fisher not in FISHERS:
        raise ConfigError('fisher is {!r}; choose one of {}'.format(
            hyperparam.fisher, ', '.join(FISHERS)))
    _check_count('acc_iters', hyperparam.acc_iters)
    for name in ('factor_update_interval', 'inverse_update_interval'):
        value = getattr(hyperparam, name)
        if not callable(value):
            _check_count(name, value)


def interval_at(name: str, value: Interval, iteration: int) -> int:
    """The interval in force at ``iteration`` (counted in updates, from 0)."""
    interval = value(iteration) if callable(value) else value
    _check_count('{} at iteration {}'.format(name, iteration), interval)
    return int(interval)


def _check_number(name, value, smallest, allowed, largest):
    if value is None and name in _OPTIONAL:
        return
    is_number = isinstance(value, (int, float, np.number, np.ndarray)) and np.ndim(value) == 0
    if not is_number or isinstance(value, bool):
        raise ConfigError('{} must be a number, got {!r}'.format(name, value))
    too_small = not (value >= smallest if allowed else value > smallest)
    if too_small or not np.isfinite(value) or (largest is not None and value > largest):
        raise ConfigError('{} must be {} {:g}{}, got {!r}'.format(
            name, 'at least' if allowed else 'above', smallest,
            '' if largest is None else ' and at most {:g}'.format(largest), value))


def _check_count(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ConfigError('{} must be a whole number of at least 1, got {!r}'.format(name, value))
