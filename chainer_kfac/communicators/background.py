"""Collectives that go on while the caller computes: in a thread over MPI, on a stream over NCCL.

They run one after the other, in the order they were given, on a duplicate of the communicator, so
that they never meet the caller's own. Every rank must give the same ones in the same order.
"""
import queue
import threading
from collections.abc import Sequence

import chainer
import numpy as np

from chainer_kfac.compat import require
from chainer_kfac.exceptions import ConfigError


class Job:
    """One reduction under way.

    Attributes:
        buffer (array): what was given; after `wait`, the part of this rank holds the sums.
    """

    def __init__(self, buffer, counts, half):
        self.buffer, self.counts, self.half = buffer, counts, half
        self.done = threading.Event()
        self.error = None
        self.event = None

    def wait(self) -> None:
        """Return when the result is there, or, on a GPU, let the current stream wait for it."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        if self.event is not None:
            chainer.backends.cuda.cupy.cuda.get_current_stream().wait_event(self.event)


class Background:
    """Reduces buffers in the background.

    Collective to make: all ranks of ``comm`` must.

    Args:
        comm (KroneckerCommunicator): is duplicated.
        purpose (str): under which bytes and seconds are counted in ``comm.traffic``.
    Raises:
        ConfigError: if MPI does not let several threads communicate.
    """

    def __init__(self, comm, purpose: str):
        mpi = require('mpi4py.MPI', 'communication in the background')
        if mpi.Query_thread() < mpi.THREAD_MULTIPLE:
            raise ConfigError('overlap needs an MPI that lets several threads communicate '
                              '(MPI_THREAD_MULTIPLE): use another MPI or overlap=False')
        self._comm = comm.duplicate()
        self._traffic = comm.traffic
        self._purpose = purpose
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = None
        self._stream = None

    def reduce_scatter(self, buffer, counts: Sequence[int], *, half: bool = False) -> Job:
        """Start `KroneckerCommunicator.reduce_scatter`; ``buffer`` is busy until `Job.wait`."""
        job = Job(buffer, counts, half)
        if isinstance(buffer, np.ndarray):
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name='chainer_kfac collectives', daemon=True)
                self._thread.start()
            self._jobs.put(job)
        else:
            self._queue_on_stream(job)
        return job

    def _work(self):
        while True:
            job = self._jobs.get()
            try:
                self._reduce(job)
            except BaseException as error:      # raised where the result is waited for
                job.error = error
            job.done.set()

    def _reduce(self, job):
        self._comm.reduce_scatter(job.buffer, job.counts, self._purpose, half=job.half)
        _, seconds = self._comm.traffic.news()
        self._traffic.seconds[self._purpose] += seconds.get(self._purpose, 0.0)

    def _queue_on_stream(self, job):
        cupy = chainer.backends.cuda.cupy
        if self._stream is None:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._stream.wait_event(cupy.cuda.get_current_stream().record())
        with self._stream:
            self._reduce(job)
        job.event = self._stream.record()
        job.done.set()
