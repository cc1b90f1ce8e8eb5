"""Stopwatches for the phases of a step, on the host's clock or on a GPU's."""
import contextlib
import time

PHASES = ('forward', 'backward', 'factors', 'inverses', 'precondition', 'update')
"""In the order of a step; `factors` happens in part inside `backward`, and is not counted there."""


class HostClock:
    """Seconds spent in each phase, a phase inside another counting for itself alone."""

    def __init__(self):
        self._seconds = {}
        self._stack = []

    @contextlib.contextmanager
    def phase(self, name: str):
        """Time a ``with`` block."""
        start = self._now()
        if self._stack:
            outer, outer_start = self._stack[-1]
            self._note(outer, outer_start, start)
        self._stack.append((name, start))
        try:
            yield
        finally:
            stop = self._now()
            name, start = self._stack.pop()
            self._note(name, start, stop)
            if self._stack:
                self._stack[-1] = (self._stack[-1][0], stop)

    def timed(self, name: str, function):
        """The function with each of its calls timed as a phase."""
        def wrapper(*args, **kwargs):
            with self.phase(name):
                return function(*args, **kwargs)
        return wrapper

    def take(self) -> dict:
        """Seconds by phase since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _now(self):
        return time.perf_counter()

    def _note(self, name, start, stop):
        self._seconds[name] = self._seconds.get(name, 0.0) + stop - start


class EventClock(HostClock):
    """The same from events in the stream of a GPU, read when a step is over.

    Args:
        new_event (callable): makes a recorded event of the current stream.
        seconds (callable): of two events, after waiting for the second.
    """

    def __init__(self, new_event, seconds):
        super().__init__()
        self._new_event, self._between = new_event, seconds
        self._noted = []

    def take(self) -> dict:
        noted, self._noted = self._noted, []
        for name, start, stop in noted:
            self._seconds[name] = self._seconds.get(name, 0.0) + self._between(start, stop)
        return super().take()

    def _now(self):
        return self._new_event()

    def _note(self, name, start, stop):
        self._noted.append((name, start, stop))


def cupy_clock() -> EventClock:
    """Clock of CuPy's current stream."""
    from chainer_kfac import compat
    cupy = compat.require('cupy', 'timing on a GPU')

    def new_event():
        event = cupy.cuda.Event()
        event.record()
        return event

    def seconds(start, stop):
        stop.synchronize()
        return cupy.cuda.get_elapsed_time(start, stop) / 1e3

    return EventClock(new_event, seconds)


def torch_clock() -> EventClock:
    """Clock of PyTorch's current CUDA stream."""
    import torch

    def new_event():
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(start, stop):
        stop.synchronize()
        return start.elapsed_time(stop) / 1e3

    return EventClock(new_event, seconds)
