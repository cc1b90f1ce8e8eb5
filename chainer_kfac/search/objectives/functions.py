"""Known functions: to check a set-up in seconds, and the search itself in its tests.

Each has an ``epochs`` and a ``seconds`` setting, so that it reports a curve like a training run.
"""
import math
import time

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search.objectives import Objective, register

_SETTINGS = {'epochs': (int, 1, 10000), 'seconds': ((int, float), 0, 3600)}
_HARTMANN_A = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14),
               (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
_HARTMANN_P = ((1312, 1696, 5569, 124, 8283, 5886), (2329, 4135, 8307, 3736, 1004, 9991),
               (2348, 1451, 3522, 2883, 3047, 6650), (4047, 8828, 8732, 5743, 1091, 381))
_HARTMANN_C = (1.0, 1.2, 3.0, 3.2)


class _Function(Objective):
    """A function of real numbers, reached from above along a curve: loss * (1 + 1/epoch)."""

    protocol = '1'
    arguments: tuple[str, ...]

    def check_settings(self, settings):
        for key, value in settings.items():
            kind, low, high = _SETTINGS.get(key, (None, 0, 0))
            if kind is None or isinstance(value, bool) or not isinstance(value, kind) \
                    or not low <= value <= high:
                raise ConfigError('{} takes the settings epochs and seconds, got {}={!r:.60}'
                                  .format(self.name, key, value))

    def check_values(self, values, settings):
        if set(values) != set(self.arguments):
            raise ConfigError('{} takes {}, got {}'.format(
                self.name, ', '.join(self.arguments), ', '.join(values)))

    def epochs(self, settings):
        return settings.get('epochs', 1)

    def evaluate(self, values, settings, progress):
        loss = self.loss(**values)
        epochs = self.epochs(settings)
        for epoch in range(1, epochs + 1):
            time.sleep(settings.get('seconds', 0) / epochs)
            progress.report(epoch, loss + abs(loss) * (1 / epoch - 1 / epochs))
        return {'loss': loss}


@register('branin')
class Branin(_Function):
    """Branin-Hoo: x in [-5, 10], y in [0, 15], three minima of 0.397887."""

    arguments = ('x', 'y')

    def loss(self, x, y):
        return ((y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6)**2
                + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


@register('hartmann6')
class Hartmann6(_Function):
    """Hartmann's function of six variables in [0, 1]; the minimum is -3.32237."""

    arguments = ('x1', 'x2', 'x3', 'x4', 'x5', 'x6')

    def loss(self, **values):
        x = [values[name] for name in self.arguments]
        return -sum(c * math.exp(-sum(a * (xi - p / 1e4)**2
                                      for a, p, xi in zip(row_a, row_p, x, strict=True)))
                    for c, row_a, row_p in zip(_HARTMANN_C, _HARTMANN_A, _HARTMANN_P, strict=True))


@register('cliff')
class Cliff(_Function):
    """(log10 x - 1)^2 below 10; above, NaN: the rates at which training diverges."""

    arguments = ('x',)

    def loss(self, x):
        return (math.log10(x) - 1)**2 if x < 10 else math.nan
