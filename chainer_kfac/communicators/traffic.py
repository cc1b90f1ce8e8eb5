"""What a communicator has sent, and how long its collectives took, by purpose."""
import time
from collections import defaultdict
from contextlib import contextmanager


class Traffic:
    """Counters since the start.

    Attributes:
        bytes (dict): by purpose ('gradients', 'factors', 'rows', 'inverses', 'directions', ...),
            the bytes of the buffers that this rank gave to collectives: the whole fused buffer of
            a reduction or a gathering, the data for other ranks of an exchange. They depend on
            the network and the number of ranks alone, not on how a collective is carried out.
        seconds (dict): by purpose of the collective, from its call to its return: also the time
            that this rank waited for others.
    """

    def __init__(self):
        self.bytes = defaultdict(int)
        self.seconds = defaultdict(float)
        self._told = {}, {}

    def count(self, purpose: str, array_or_bytes) -> None:
        """Add the bytes of an array, or that many bytes."""
        self.bytes[purpose] += int(getattr(array_or_bytes, 'nbytes', array_or_bytes))

    @contextmanager
    def clock(self, purpose: str):
        """Add the seconds of a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[purpose] += time.perf_counter() - start

    def news(self) -> tuple[dict, dict]:
        """(bytes, seconds) since the last call; the counters themselves go on."""
        found = []
        for now, before in zip((self.bytes, self.seconds), self._told):
            found.append({name: value - before.get(name, 0) for name, value in now.items()})
        self._told = dict(self.bytes), dict(self.seconds)
        return tuple(found)
