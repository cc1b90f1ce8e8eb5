"""The log of a batch whose parts are on several ranks."""
import chainer
from chainer.training import extensions


class SharedLog(extensions.LogReport):
    """Chainer's LogReport; what the model reports of each rank's share is averaged over the ranks.

    The log is the same on all ranks, and rank 0 writes it. The other entries are rank 0's.

    Args:
        ranks (Alone or Ranks): calling and saving are collective among them.
        trigger (callable): when an entry is made.
        filename (str): of the log, on rank 0.
    """

    def __init__(self, ranks, trigger, filename: str):
        super().__init__(trigger=trigger, filename=filename if ranks.rank == 0 else None,
                         postprocess=self._merge)
        if ranks.rank != 0:
            self._log_name = None  # the constructor takes None for its default
        self._ranks = ranks

    def _merge(self, entry):
        entries = self._ranks.gather(dict(entry))
        entry.clear()
        entry.update({key: _mean([each[key] for each in entries]) if _is_shared(key) else value
                      for key, value in entries[0].items()})

    def serialize(self, serializer):
        """Sums of an epoch that is not at its end become those of all ranks before they are saved.

        Their mean over ranks is then the same on every rank, so it is right to average again.
        """
        if not isinstance(serializer, chainer.Deserializer) and self._ranks.size > 1:
            for key, summary in sorted(self._summary._summaries.items()):
                if _is_shared(key):
                    summary._x = _mean(self._ranks.gather(float(summary._x)))
        super().serialize(serializer)


def _is_shared(key):
    return key.startswith('main/')


def _mean(values):
    return sum(values) / len(values)
