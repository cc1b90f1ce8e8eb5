"""What the ranks sent to one another, in the log."""
import chainer
from chainer.training import extension


class Communication(extension.Extension):
    """Reports what an update has sent and how long its phases took, on average over the epoch.

    ``comm/bytes`` is the sum over purposes of what rank 0 gave to collectives; ``comm/bytes/...``
    and ``comm/seconds/...`` are the purposes, as `communicators.traffic` defines them.

    Args:
        communicator (KroneckerCommunicator): of the optimizer.
    """

    priority = extension.PRIORITY_WRITER

    def __init__(self, communicator):
        self._traffic = communicator.traffic
        self._counted_from = None

    def initialize(self, trainer):
        self._counted_from = trainer.updater.iteration
        self._traffic.take()

    def __call__(self, trainer):
        updates = trainer.updater.iteration - self._counted_from
        self._counted_from = trainer.updater.iteration
        sent, seconds = self._traffic.take()
        report = {'comm/bytes': sum(sent.values()) / updates}
        for name, counts in (('bytes', sent), ('seconds', seconds)):
            report.update({'comm/{}/{}'.format(name, purpose): count / updates
                           for purpose, count in counts.items()})
        chainer.report(report)
