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
    """True after each epoch, when the last snapshot is ten minutes old, and on a signal.

    Args:
        stop (Stop): knows of the signal.
        ranks (Alone or Ranks): a call is collective among them; any clock may be the first.
    """

    seconds = 600.0

    def __init__(self, stop, ranks):
        self._stop = stop
        self._ranks = ranks
        self._last = time.monotonic()

    def __call__(self, trainer) -> bool:
        old = any(self._ranks.largest([time.monotonic() - self._last > self.seconds]))
        if not (trainer.updater.is_new_epoch or old or self._stop.signum is not None):
            return False
        self._last = time.monotonic()
        return True
