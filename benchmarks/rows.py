"""Which steps are compared, and how each is built."""
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import chainer
import numpy as np

from benchmarks.chainer_steps import WEIGHT_DECAY, GradientStep, KFACStep
from chainer_kfac.datasets import Augmentation

EVERY_STEP = {'cov_ema_decay': 0.99, 'ema_weighs': 'new'}
SELDOM = {'cov_ema_decay': 0.95, 'ema_weighs': 'old', 'factor_update_interval': 10,
          'inverse_update_interval': 100}


class Row(NamedTuple):
    """One kind of step.

    Attributes:
        name: what tables call it.
        parts: (share of the updates, function that makes such a step and returns seconds by
            phase): one, but for schedules in which updates differ.
    """

    name: str
    parts: list


def _sgd():
    return chainer.optimizers.MomentumSGD(lr=0.01)


def _adam():
    return chainer.optimizers.Adam(alpha=1e-4)


def batch(size: int) -> tuple:
    """Images and labels drawn from a fixed seed, as the training iterator would hand them out."""
    random = np.random.default_rng(0)
    return (random.standard_normal((size, 3, 28, 28), np.float32),
            random.integers(0, 10, size).astype(np.int32))


def _one(step) -> list:
    return [(1.0, step)]


def _with_intervals(step) -> list:
    """Ninety updates of a hundred refresh nothing, nine the factors, one the inverses as well."""
    return [(0.90, step), (0.09, lambda: step('factors')), (0.01, lambda: step('inverses'))]


def _builders(x, t, device) -> dict[str, Callable[[], list]]:
    def gradient(make, **options):
        return lambda: _one(GradientStep(make, x, t, device=device, **options))

    def kfac(parts, **options):
        return lambda: parts(KFACStep(x, t, device=device, **options))

    def torch():
        from benchmarks.torch_step import TorchStep
        return _one(TorchStep(x, t, gpu=device != '@numpy'))

    return {
        'SGD': gradient(_sgd),
        'Adam': gradient(_adam),
        'K-FAC': kfac(_one, **EVERY_STEP),
        'K-FAC, weight decay': kfac(_one, weight_decay=WEIGHT_DECAY, **EVERY_STEP),
        'K-FAC 10/100': kfac(_with_intervals, **SELDOM),
        'K-FAC 10/100, weight decay': kfac(
            _with_intervals, weight_decay=WEIGHT_DECAY, **SELDOM),
        'augmentation': lambda: _one(_augmentation(len(x), device)),
        'Chainer SGD': gradient(_sgd, fast=False),
        'Chainer Adam': gradient(_adam, fast=False),
        'PyTorch SGD': torch,
    }


NAMES = tuple(_builders(*batch(1), '@numpy'))
"""Every row: this package's, Chainer as it is, PyTorch if it is installed."""


def build(names, size: int, device: str = '@numpy') -> list[Row]:
    """The rows of these names, but for PyTorch's where it is not installed."""
    builders = _builders(*batch(size), device)
    missing = importlib.util.find_spec('torch') is None
    return [Row(name, builders[name]()) for name in names
            if not (missing and name.startswith('PyTorch'))]


def _augmentation(size, device):
    """Makes a batch as the training iterator does."""
    from benchmarks.clock import HostClock, cupy_clock
    clock = HostClock() if device == '@numpy' else cupy_clock()
    images = np.random.default_rng(0).integers(0, 256, (size, 3, 32, 32), np.uint8)
    images = chainer.get_device(device).send(images)
    augment = Augmentation([125.3, 123.0, 113.9], [63.0, 62.1, 66.7])
    index = np.arange(size)

    def step():
        with clock.phase('augmentation'):
            augment(images, index)
        return clock.take()

    return step
