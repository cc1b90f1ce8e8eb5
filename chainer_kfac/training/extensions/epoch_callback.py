"""Telling a caller about each epoch."""
from collections.abc import Callable

import numpy as np
from chainer.training import extension

from chainer_kfac.training.stop import Stop, StopRun


class EpochCallback(extension.Extension):
    """Calls ``on_epoch(entry)`` with each epoch's log entry; StopRun from there ends the run.

    It comes after the snapshot: whatever the callback raises, the epoch is safe. A run that was
    killed between the two has not delivered its last entry, so a resumed run delivers that first:
    an entry may come twice, and none is missing. NumPy's global generator is as before after the
    call.

    Args:
        on_epoch (callable): takes the entry, a new dict.
        stop (Stop): the trainer's.
        ranks (Alone or Ranks): each calls its own callback, with the same entry; if that of rank 0
            ends the run, all end it.
    """

    priority = -200  # after the snapshot (-100)

    def __init__(self, on_epoch: Callable[[dict], None], stop: Stop, ranks):
        self._on_epoch = on_epoch
        self._ranks = ranks
        self._stop = stop

    def initialize(self, trainer):
        if trainer.get_extension('LogReport').log:
            self(trainer)

    def __call__(self, trainer):
        state = np.random.get_state()
        try:
            self._on_epoch(dict(trainer.get_extension('LogReport').log[-1]))
        except StopRun as stop:
            self._stop.reason = stop.reason
        finally:
            np.random.set_state(state)
        self._stop.reason = self._ranks.bcast(self._stop.reason)
