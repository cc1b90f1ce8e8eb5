"""What a user sees of a run: a table and a bar on a terminal, a line an epoch elsewhere."""
import logging
import sys

from chainer.training import extension, extensions

from chainer_kfac.training.extensions.triggers import Every, each_epoch

logger = logging.getLogger(__name__)

COLUMNS = ('epoch', 'iteration', 'main/loss', 'main/accuracy', 'validation/main/loss',
           'validation/main/accuracy', 'lr', 'elapsed_time')


def extend_with_progress(trainer, epochs: int, progress: str) -> None:
    """Add the reporting extensions.

    Args:
        progress (str): 'bar' for a terminal, 'lines', 'none', or 'auto' to choose by what standard
            error is.
    """
    if progress == 'auto':
        progress = 'bar' if sys.stderr.isatty() else 'lines'
    if progress == 'bar':
        trainer.extend(extensions.PrintReport(COLUMNS, out=sys.stderr), trigger=each_epoch)
        trainer.extend(extensions.ProgressBar(update_interval=1, out=sys.stderr),
                       trigger=Every(0.5))
    elif progress == 'lines':
        trainer.extend(EpochLine(epochs), trigger=each_epoch)


class EpochLine(extension.Extension):
    """Logs one line an epoch, with an estimate of the time left."""

    def __init__(self, epochs: int):
        self._epochs = epochs

    def __call__(self, trainer):
        entry = trainer.get_extension('LogReport').log[-1]
        left = entry['elapsed_time'] / entry['epoch'] * (self._epochs - entry['epoch'])
        logger.info(
            'epoch %d/%d  loss %.4f  accuracy %.4f  validation loss %.4f  accuracy %.4f  lr %.3g  '
            '%s passed, %s left', entry['epoch'], self._epochs, entry['main/loss'],
            entry['main/accuracy'], entry['validation/main/loss'],
            entry['validation/main/accuracy'], entry['lr'],
            clock(entry['elapsed_time']), clock(left))


def clock(seconds: float) -> str:
    """Seconds as H:MM:SS."""
    minutes, seconds = divmod(round(seconds), 60)
    return '{}:{:02d}:{:02d}'.format(*divmod(minutes, 60), seconds)
