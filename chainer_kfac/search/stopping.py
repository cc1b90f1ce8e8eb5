"""Ending a worker's work in good order: signals, the time limit, a lease that is lost."""
import contextlib
import os
import signal
import time
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """The evaluation or the waiting that was going on has been ended."""


class Stopping:
    """Notes why to stop, and ends what may be ended at once.

    Only inside `interruptible` does a signal raise; elsewhere, when a result is being stored, it
    is noted. ``training.run`` takes over the signals while it trains, to finish its update and
    save a snapshot; it then raises a KeyboardInterrupt of its own.

    Args:
        deadline (float or None): on the clock of ``time.monotonic``.
        parent (int or None): number of the driver that started this worker, which is not to go on
            for long without it.
        alone (bool): whether this process evaluates by itself. The ranks of an MPI job can only end
            together: after an update of ``training.run``, or at the next report.

    Attributes:
        reason (str or None): why the worker is to end.
        trial_reason (str or None): why this trial is to end, and the worker is not.
        signum (int or None): the signal that came from outside.
    """

    def __init__(self, deadline: float | None = None, parent: int | None = None,
                 alone: bool = True):
        self.deadline = deadline
        self.alone = alone
        self._parent = parent
        self.reason = None
        self.trial_reason = None
        self.signum = None
        self._interruptible = False
        self._ours = 0  # signals that this process has sent to itself
        self._listening = False
        self._told = False  # whether a training run that has the signals got one of these

    @property
    def exit_code(self) -> int:
        """0, also after SIGUSR1, the warning of batch systems; 128 + n after another signal n."""
        return 0 if self.signum in (None, signal.SIGUSR1) else 128 + self.signum

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals for the block. For the main thread only."""
        old = {each: signal.signal(each, self._receive) for each in SIGNALS
               if signal.getsignal(each) != signal.SIG_IGN}  # as nohup sets it
        self._listening = signal.SIGUSR1 in old
        try:
            yield
        finally:
            self._listening = False
            for each, handler in old.items():
                signal.signal(each, handler)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """While in the block, a signal raises Stopped; so does one that came before."""
        self._interruptible = True
        try:
            self.check()
            yield
        finally:
            self._interruptible = False

    def check(self) -> None:
        """Raise Stopped if there is a reason."""
        if self._parent is not None and os.getppid() != self._parent:
            self.reason = self.reason or 'its driver is gone'
        if self.reason is not None or self.trial_reason is not None:
            raise Stopped(self.reason or self.trial_reason)

    def pause(self, seconds: float) -> None:
        """Sleep; raises Stopped when told to stop."""
        with self.interruptible():
            time.sleep(seconds)

    def end_worker(self, reason: str) -> None:
        """End the evaluation and then the worker. For any thread."""
        self.reason = self.reason or reason
        self._interrupt()

    def end_trial(self, reason: str) -> None:
        """End the evaluation, not the worker. For any thread."""
        self.trial_reason = self.trial_reason or reason
        self._interrupt()

    def note(self, interrupt: KeyboardInterrupt) -> None:
        """Take in what ``training.run`` raised after a signal that it had received itself."""
        signum = getattr(interrupt, 'signum', None)
        self._told = False
        if signum == signal.SIGUSR1 and self._ours:
            self._ours -= 1
        elif self.trial_reason is None and self.reason is None:
            self._note(signal.SIGINT if signum is None else signum)

    def remind(self) -> None:
        """Tell a training run that took over the signals after one had come. For any thread.

        Once only: it takes a second one to mean that there is no time for a snapshot.
        """
        if (self.reason or self.trial_reason) and self._is_training() and not self._told:
            self._interrupt()

    def _is_training(self):
        return self._listening and signal.getsignal(signal.SIGUSR1) != self._receive

    def _interrupt(self):
        self._told = self._is_training()
        self._ours += 1
        os.kill(os.getpid(), signal.SIGUSR1)

    def _receive(self, signum, frame):
        if signum == signal.SIGUSR1 and self._ours:
            self._ours -= 1
        else:
            self._note(signum)
        if self._interruptible:
            self.check()

    def _note(self, signum):
        self.signum = signum
        self.reason = self.reason or signal.Signals(signum).name
