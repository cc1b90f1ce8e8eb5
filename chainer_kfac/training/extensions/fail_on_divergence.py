"""The NaN guard: a diverged run ends at once, and its weights are never stored."""
import math

import chainer
from chainer.training import extensions

from chainer_kfac.exceptions import DivergedError


class FailOnDivergence(extensions.FailOnNonNumber):
    """Ends the run when a loss or a parameter is NaN or infinite.

    The losses are looked at in each iteration on a CPU, where that is free. On a GPU each look
    waits for the device, so there it is every ``interval`` iterations. The parameters are looked
    at before each snapshot (`check_parameters`): one that is not finite makes the next loss so.

    Both are collective among the ranks, and all of them fail together.

    Args:
        ranks (Alone or Ranks): whose losses are looked at.
        interval (int): iterations between two looks.

    Raises:
        DivergedError: naming the epoch and the iteration.
    """

    # after validation (300), before the log (100) and the snapshot (-100)
    priority = chainer.training.PRIORITY_EDITOR

    def __init__(self, ranks, interval: int = 1):
        self._ranks = ranks
        self._interval = interval

    def __call__(self, trainer):
        updater = trainer.updater
        if updater.iteration % self._interval and not updater.is_new_epoch:
            return
        bad = [(key, _number(value)) for key, value in trainer.observation.items()
               if key.endswith('/loss') and not math.isfinite(_number(value))]
        if any(self._ranks.largest([len(bad)])):
            everywhere = [each for found in self._ranks.gather(bad) for each in found]
            raise _diverged(trainer, '{} is {}'.format(*everywhere[0]))

    def check_parameters(self, trainer) -> None:
        """Raise DivergedError unless all parameters are finite."""
        try:
            super().__call__(trainer)
        except RuntimeError:
            bad = True
        else:
            bad = False
        if any(self._ranks.largest([bad])):
            raise _diverged(trainer, 'a parameter is not finite')


def _number(value):
    return float(value.array if isinstance(value, chainer.Variable) else value)


def _diverged(trainer, what):
    updater = trainer.updater
    epoch = updater.epoch if updater.is_new_epoch else updater.epoch + 1
    return DivergedError('training diverged in epoch {}, iteration {}: {}'.format(
        epoch, updater.iteration, what))
