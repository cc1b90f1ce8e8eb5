"""What the ranks sent to one another, in the log."""
import chainer
from chainer.training import extension


class Communication(extension.Extension):
    """Reports ``comm/bytes`` and ``comm/seconds`` of an update, on average over the epoch.

    They are what rank 0 gave to collectives and how long those took, waiting included:
    `communicators.traffic`. `DistributedKFAC` reports the same by purpose and phase.

    Args:
        communicator (KroneckerCommunicator): of the optimizer.
    """

    priority = extension.PRIORITY_WRITER

    def __init__(self, communicator):
        self._traffic = communicator.traffic
        self._begin = None

    def initialize(self, trainer):
        self._begin = self._now(trainer)

    def __call__(self, trainer):
        begin, self._begin = self._begin, self._now(trainer)
        updates, sent, seconds = (now - then for now, then in zip(self._begin, begin, strict=True))
        chainer.report({'comm/bytes': sent / updates, 'comm/seconds': seconds / updates})

    def _now(self, trainer):
        return (trainer.updater.iteration, sum(self._traffic.bytes.values()),
                sum(self._traffic.seconds.values()))
