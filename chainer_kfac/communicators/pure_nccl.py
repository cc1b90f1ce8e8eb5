"""The communicator over NCCL: only what differs from MPI.

Reductions and gatherings of unequal parts are groups of reduce and broadcast operations, which
NCCL carries out together; exchanges are groups of send and receive. All are queued on the current
stream. NumPy arrays still go by MPI.
"""
import chainer
import numpy as np
from chainermn.communicators import pure_nccl_communicator
from chainermn.communicators._communication_utility import _get_nccl_type_id

from chainer_kfac.communicators.base import KroneckerCommunicator
from chainer_kfac.communicators.naive import MPICollectives
from chainer_kfac.communicators.packing import starts_of
from chainer_kfac.compat import require


class PureNcclCommunicator(MPICollectives, pure_nccl_communicator.PureNcclCommunicator):
    """ChainerMN's 'pure_nccl' communicator, for NumPy arrays too.

    Args:
        mpi_comm (mpi4py.MPI.Comm): the ranks, each with a GPU of its own made current before the
            first collective.
    """

    def __init__(self, mpi_comm):
        _nccl()  # names what is missing
        super().__init__(mpi_comm)
        self._prepare()

    def multi_node_mean_grad(self, model: chainer.Link, zero_fill: bool = False) -> None:
        """Average gradients over ranks: ChainerMN's way on a GPU, by MPI on the host."""
        if any(param.xp is np for param in model.params()):
            KroneckerCommunicator.multi_node_mean_grad(self, model, zero_fill)
        else:
            pure_nccl_communicator.PureNcclCommunicator.multi_node_mean_grad(
                self, model, zero_fill)

    def bcast_data(self, model: chainer.Link) -> None:
        """Give all ranks the parameters of rank 0."""
        on_host = any(param.xp is np for param in model.params())
        base = pure_nccl_communicator.PureNcclCommunicator
        super(base if on_host else MPICollectives, self).bcast_data(model)

    def _sum_scatter(self, buffer, counts, out):
        if _is_on_host(buffer):
            super()._sum_scatter(buffer, counts, out)
            return
        self._init_comms()
        with _Group():
            for root, (count, start) in enumerate(zip(counts, starts_of(counts), strict=True)):
                if count:
                    self.nccl_comm.reduce(
                        _at(buffer, start), _at(out, 0), count, _type(buffer), _nccl().NCCL_SUM,
                        root, _stream())

    def _gather_parts(self, buffer, counts):
        if _is_on_host(buffer):
            super()._gather_parts(buffer, counts)
            return
        self._init_comms()
        with _Group():
            for root, (count, start) in enumerate(zip(counts, starts_of(counts), strict=True)):
                if count:
                    self.nccl_comm.bcast(
                        _at(buffer, start), count, _type(buffer), root, _stream())

    def _exchange_parts(self, send, send_counts, receive, receive_counts):
        if _is_on_host(send):
            super()._exchange_parts(send, send_counts, receive, receive_counts)
            return
        self._init_comms()
        with _Group():
            for rank, (count, start) in enumerate(zip(send_counts, starts_of(send_counts))):
                if count:
                    self.nccl_comm.send(_at(send, start), count, _type(send), rank, _stream())
            for rank, (count, start) in enumerate(zip(receive_counts, starts_of(receive_counts))):
                if count:
                    self.nccl_comm.recv(_at(receive, start), count, _type(receive), rank,
                                        _stream())


class _Group:
    def __enter__(self):
        _nccl().groupStart()

    def __exit__(self, *_):
        _nccl().groupEnd()


def _nccl():
    return require('cupy.cuda.nccl', 'communication between GPUs')


def _is_on_host(array):
    return isinstance(array, np.ndarray)


def _at(array, start):
    return array.data.ptr + start * array.itemsize


def _type(array):
    # 16-bit words are only moved, never added.
    return _nccl().NCCL_FLOAT16 if array.dtype == np.uint16 else _get_nccl_type_id(array.dtype)


def _stream():
    return chainer.backends.cuda.cupy.cuda.get_current_stream().ptr
