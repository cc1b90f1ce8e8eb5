"""Triggers without state in the snapshot: what is shown or saved may change from start to start."""
import time


def each_epoch(trainer) -> bool:
    """True after the iteration that ends an epoch."""
    return trainer.updater.is_new_epoch


class Every:
    """True when a number of seconds has passed since it was last true."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._last = time.monotonic()

    def __call__(self, trainer) -> bool:
        if time.monotonic() - self._last < self._seconds:
            return False
        self._last = time.monotonic()
        return True


class SnapshotTrigger:
    """True after each epoch, when the last snapshot is ten minutes old, at the end and on a signal.

    Epochs may be so short that snapshots would take more than `share` of the time. After such an
    epoch there is none, until the time since the last one makes up for what that took, or has
    reached `soon`. So a process that is killed loses what it did since the last snapshot: one epoch
    at most if epochs take longer than `soon`, else one epoch and ``soon`` seconds, or as much as
    (1 / share - 1) snapshots take if that is less.

    Args:
        stop (Stop): knows of the signal and of the end.
        ranks (Alone or Ranks): a call is collective among them; any clock may be the first.

    Attributes:
        share (float): of the time, that snapshots after epochs may take.
        soon, seconds (float): ages of the last snapshot from which the end of an epoch, or of any
            iteration, is due for one whatever it takes.
    """

    share = 0.05
    soon = 30.0
    seconds = 600.0

    def __init__(self, stop, ranks):
        self._stop = stop
        self._ranks = ranks
        self._last = time.monotonic()
        self._wait = 0.0

    def __call__(self, trainer) -> bool:
        age = time.monotonic() - self._last
        wait = self._wait if trainer.updater.is_new_epoch else self.seconds
        if not (any(self._ranks.largest([age >= wait])) or self._stop(trainer)):
            return False
        self._last = time.monotonic()
        return True

    def written(self) -> None:
        """To be called when a snapshot is there: the time since the last true call is its price."""
        now = time.monotonic()
        self._wait = min(self.soon, (now - self._last) * (1.0 / self.share - 1.0))
        self._last = now
