"""The logic of the NCCL communicator - order, counts, addresses, types - without a GPU.

A stand-in for CuPy's NCCL module reads and writes NumPy memory by its address, by way of MPI, and
does what NCCL does: operations between `groupStart` and `groupEnd` are one.
"""
import ctypes
import sys
import types

import chainer_kfac  # first: Chainer does not import without it

# isort: split
import chainermn
import numpy as np
from mpi4py import MPI

DTYPES = {6: np.uint16, 7: np.float32, 8: np.float64}
queued = None


def memory(address, count, kind):
    """NumPy's view of some memory."""
    size = count * np.dtype(DTYPES[kind]).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), DTYPES[kind])


class NcclCommunicator:
    """What the communicator calls, with the arguments of CuPy's class."""

    def __init__(self, size, ident, rank):
        self.mpi, self.rank = MPI.COMM_WORLD.Dup(), rank
        assert ident == 'ident'

    def reduce(self, sent, received, count, kind, operation, root, stream):
        assert operation == 'sum'
        assert kind != 6, '16-bit words cannot be added'
        out = memory(received, count, kind) if self.rank == root else None
        queued.append(lambda: self.mpi.Reduce(memory(sent, count, kind), out, root=root))

    def bcast(self, address, count, kind, root, stream):
        queued.append(lambda: self.mpi.Bcast(
            memory(address, count, kind).view(np.uint8), root=root))

    def send(self, address, count, kind, peer, stream):
        queued.append(lambda: self.mpi.Isend(memory(address, count, kind).view(np.uint8), peer))

    def recv(self, address, count, kind, peer, stream):
        queued.append(lambda: self.mpi.Irecv(memory(address, count, kind).view(np.uint8), peer))


def group_start():
    global queued
    assert queued is None
    queued = []


def group_end():
    global queued
    requests = [request for request in [run() for run in queued] if request is not None]
    queued = None
    MPI.Request.Waitall(requests)


stand_in = types.ModuleType('cupy.cuda.nccl')
stand_in.__dict__.update(
    NCCL_FLOAT16=6, NCCL_FLOAT32=7, NCCL_FLOAT64=8, NCCL_SUM='sum', groupStart=group_start,
    groupEnd=group_end, NcclCommunicator=NcclCommunicator, get_unique_id=lambda: 'ident',
    get_build_version=lambda: 22000, get_version=lambda: 22000, _available=True)
sys.modules['cupy.cuda.nccl'] = chainermn.nccl = sys.modules['chainermn.nccl'] = stand_in

from chainermn.communicators import (  # noqa: E402
    _communication_utility,
    _memory_utility,
    pure_nccl_communicator,
)

_memory_utility.DeviceMemory = object
_communication_utility.nccl = pure_nccl_communicator.nccl = stand_in
from chainer_kfac.communicators import pure_nccl  # noqa: E402

pure_nccl._is_on_host = lambda array: False
pure_nccl._at = lambda array, start: array.ctypes.data + start * array.itemsize
pure_nccl._stream = lambda: 0

import collectives_of  # noqa: E402

comm = chainer_kfac.create_communicator('pure_nccl')
assert type(comm) is pure_nccl.PureNcclCommunicator
for half in (False, True):
    for dtype in (np.float32, np.float64):
        collectives_of.check(comm, half, dtype)
print('rank {} of {}: done'.format(comm.rank, comm.size))
