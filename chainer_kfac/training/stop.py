"""When a run ends: after its epochs, at a caller's wish, or on a signal."""
import contextlib
import os
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def same_command(force: bool) -> str:
    """What goes on where an interrupted command stopped; forced again, it would discard that."""
    return 'the same command without --force' if force else 'the same command'


class StopRun(Exception):  # noqa: N818  (nothing went wrong)
    """Raised by an ``on_epoch`` callback to end a run early, with a result that says why.

    Args:
        reason (str): what ``result.json`` gives under ``stopped``.
    """

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Interrupted(KeyboardInterrupt):
    """A signal has ended the run; ``exit_code`` is 128 + the signal's number."""

    def __init__(self, signum: int, sentence: str):
        super().__init__(sentence)
        self.signum = signum
        self.exit_code = 128 + signum


class Stop:
    """The trainer's stop trigger.

    A signal handler only notes its signal. `read_signal`, an extension that runs before all
    others, takes the note once an iteration, so that the snapshot and the end of the loop come
    from one decision.

    Args:
        epochs (int): length of the run.
        ranks (Alone or Ranks): a signal to one of them ends the run on all, after the same update;
            `read_signal` is collective among them.
        force (bool): whether the run has begun by discarding what there was.

    Attributes:
        again (str): the command that goes on after a signal, in words.
        reason (str or None): why the caller ends the run.
        signum (int or None): the signal that ends it after this iteration.
    """

    def __init__(self, epochs: int, ranks, force: bool = False):
        self.epochs = epochs
        self.again = same_command(force)
        self._ranks = ranks
        self.reason = None
        self.signum = None
        self._received = None

    def __call__(self, trainer) -> bool:
        return (self.signum is not None or self.reason is not None
                or trainer.updater.epoch >= self.epochs)

    def get_training_length(self):
        """What Chainer's progress bar asks its trainer's stop trigger for."""
        return self.epochs, 'epoch'

    def read_signal(self) -> None:
        self.signum = int(self._ranks.largest([self._received or 0])[0]) or None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGUSR1 during the block; a second one ends it at once.

        Only the main thread may take signals; elsewhere this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {each: signal.signal(each, self._receive) for each in SIGNALS}
        try:
            yield
        finally:
            for each, handler in old.items():
                signal.signal(each, handler)

    def _receive(self, signum, frame):
        name = signal.Signals(signum).name
        if self._received is not None:
            raise Interrupted(signum, 'ended by {} without a new snapshot: {} goes on from the '
                              'last one'.format(name, self.again))
        self._received = signum
        # os.write and not logging: a handler may run in the middle of another write
        os.write(2, '\n{}: finishing this step and saving a snapshot; once more ends it at once\n'
                 .format(name).encode())
