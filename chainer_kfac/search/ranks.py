"""The processes that evaluate one trial together: this one alone, or the ranks of an MPI job."""
import os
import time
from typing import Any

from chainer_kfac.compat import require

POLL = 0.01
"""Seconds between two looks of a waiting rank."""

_SIZES = ('OMPI_COMM_WORLD_SIZE', 'PMI_SIZE', 'MV2_COMM_WORLD_SIZE')


class Alone:
    """One process."""

    rank, size = 0, 1

    def bcast(self, content: Any) -> Any:
        return content

    def gather(self, content: Any) -> list[Any]:
        return [content]


class Ranks:
    """The ranks of a communicator. Only rank 0 talks to the database; the others follow it.

    Both methods are collective: every rank must call them, in the same order. A rank that waits
    sleeps; MPI's own broadcast would keep its core busy for as long as no trial comes.

    Args:
        comm (mpi4py.MPI.Comm): kept apart from the communicator that training uses.
    """

    def __init__(self, comm):
        self._comm = comm
        self.rank, self.size = comm.rank, comm.size

    def bcast(self, content: Any) -> Any:
        """What rank 0 passes, on every rank."""
        if self.rank == 0:
            for other in range(1, self.size):
                self._comm.send(content, dest=other)
            return content
        while not self._comm.iprobe(source=0):
            time.sleep(POLL)
        return self._comm.recv(source=0)

    def gather(self, content: Any) -> list[Any]:
        """What each rank passes, on every rank."""
        return self._comm.allgather(content)


def world() -> Alone | Ranks:
    """The ranks that an MPI launcher started together with this process."""
    if all(int(os.environ.get(name, '1')) <= 1 for name in _SIZES):
        return Alone()
    mpi = require('mpi4py.MPI', 'a worker that is an MPI job')
    return Ranks(mpi.COMM_WORLD.Dup())
