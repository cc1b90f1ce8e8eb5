"""The learning rate in the log."""
import chainer
from chainer.training import extension


class LearningRate(extension.Extension):
    """Reports ``lr`` as the epoch has used it.

    Args:
        attribute (str): the optimizer's name for its learning rate.
    """

    priority = extension.PRIORITY_WRITER  # before the schedule changes the rate for the next epoch

    def __init__(self, attribute: str):
        self._attribute = attribute

    def __call__(self, trainer):
        optimizer = trainer.updater.get_optimizer('main')
        chainer.report({'lr': float(getattr(optimizer, self._attribute))})
