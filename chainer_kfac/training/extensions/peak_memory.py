"""The largest amount of memory that a run has used."""
import resource
import sys

from chainer.backends import cuda
from chainer.training import extension


class PeakMemory(extension.Extension):
    """Peak memory over all processes that have worked on the run, one after the other.

    On a GPU it is what CuPy's memory pool has taken from the device, else the resident set of the
    process: a process that did other work before counts that too. Of several ranks, it is that of
    the rank that took most.

    Args:
        ranks (Alone or Ranks): a call is collective among them.

    Attributes:
        megabytes (float): units of 2**20 bytes.
    """

    def __init__(self, ranks):
        self._ranks = ranks
        self.megabytes = 0.0

    def __call__(self, trainer):
        on_gpu = trainer.updater.get_optimizer('main').target.xp is cuda.cupy
        now, = self._ranks.largest([_device() if on_gpu else _resident()])
        self.megabytes = max(self.megabytes, now)

    def serialize(self, serializer):
        self.megabytes = serializer('megabytes', self.megabytes)


def _device():
    return cuda.cupy.get_default_memory_pool().total_bytes() / 2**20


def _resident():
    unit = 1 if sys.platform == 'darwin' else 2**10  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
