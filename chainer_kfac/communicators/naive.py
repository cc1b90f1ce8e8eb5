"""The communicator over MPI: NumPy arrays, and CuPy arrays by way of the host."""
import chainer
import numpy as np
from chainermn.communicators import naive_communicator

from chainer_kfac.communicators.base import KroneckerCommunicator
from chainer_kfac.communicators.packing import starts_of
from chainer_kfac.compat import require

MPI = require('mpi4py.MPI', 'a communicator between processes')


class MPICollectives(KroneckerCommunicator):
    """The three primitives over MPI."""

    def _sum_scatter(self, buffer, counts, out):
        host = _on_host(buffer)
        total = out if isinstance(out, np.ndarray) else np.empty(out.shape, out.dtype)
        self.mpi_comm.Reduce_scatter(host, total, list(counts))
        _give_back(total, out)

    def _gather_parts(self, buffer, counts):
        host = _on_host(buffer)
        self.mpi_comm.Allgatherv(MPI.IN_PLACE, [host, (list(counts), starts_of(counts))])
        _give_back(host, buffer)

    def _exchange_parts(self, send, send_counts, receive, receive_counts):
        host = receive if isinstance(receive, np.ndarray) else np.empty(
            receive.shape, receive.dtype)
        self.mpi_comm.Alltoallv(
            [_on_host(send), (list(send_counts), starts_of(send_counts))],
            [host, (list(receive_counts), starts_of(receive_counts))])
        _give_back(host, receive)


class NaiveCommunicator(MPICollectives, naive_communicator.NaiveCommunicator):
    """ChainerMN's 'naive' communicator, with gradients averaged in one buffer.

    Args:
        mpi_comm (mpi4py.MPI.Comm): the ranks.
    """

    def __init__(self, mpi_comm):
        super().__init__(mpi_comm)
        self._prepare()


def _on_host(array):
    return array if isinstance(array, np.ndarray) else chainer.backends.cuda.to_cpu(array)


def _give_back(host, array):
    if host is not array:
        array.set(host)
