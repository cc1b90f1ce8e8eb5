"""What the log says beside losses and accuracies: the learning rate and K-FAC's own diagnostics."""
import math

import chainer
from chainer.training import extension


class Observe(extension.Extension):
    """Reports ``lr`` as the epoch used it, and every finite number in ``optimizer.diagnostics``.

    Args:
        attribute (str): the optimizer's name for its learning rate.
    """

    priority = extension.PRIORITY_WRITER  # before the schedule changes the rate for the next epoch

    def __init__(self, attribute: str):
        self._attribute = attribute

    def __call__(self, trainer):
        optimizer = trainer.updater.get_optimizer('main')
        chainer.report({'lr': float(getattr(optimizer, self._attribute))})
        for key, value in getattr(optimizer, 'diagnostics', {}).items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                chainer.report({'kfac/' + key: float(value)})
