"""Which communicator, by name or by what the machine has."""
import chainer

from chainer_kfac.compat import require
from chainer_kfac.exceptions import ConfigError

NAMES = ('naive', 'pure_nccl')


def create_communicator(communicator_name: str | None = None, mpi_comm=None):
    """A ChainerMN communicator that can also average and spread the work of K-FAC.

    Collective: all ranks of ``mpi_comm`` must call it. The result is a ChainerMN communicator in
    every respect (`chainermn.create_multi_node_evaluator`, ``scatter_dataset``, ``split``, ...).

    Args:
        communicator_name (str or None): 'naive' (MPI; NumPy arrays, or CuPy arrays by way of the
            host) or 'pure_nccl' (NCCL between CuPy arrays; NumPy arrays still go by MPI). By
            default 'pure_nccl' if every rank has a GPU of its own and NCCL, else 'naive'.
        mpi_comm (mpi4py.MPI.Comm or None): the ranks; by default ``MPI.COMM_WORLD``.
    Returns:
        NaiveCommunicator or PureNcclCommunicator: `chainer_kfac.communicators.base`.
    Raises:
        ConfigError: if the name is another word.
        MissingDependency: if mpi4py, or NCCL where it is asked for, cannot be used.
    """
    if communicator_name is not None and communicator_name not in NAMES:
        raise ConfigError('communicator_name is {!r}; choose one of {}, or none to let the '
                          'machine decide'.format(communicator_name, ', '.join(NAMES)))
    mpi = require('mpi4py.MPI', 'a communicator between processes')
    if mpi_comm is None:
        mpi_comm = mpi.COMM_WORLD
    if communicator_name is None:
        communicator_name = 'pure_nccl' if _gpu_for_each(mpi, mpi_comm) else 'naive'
    if communicator_name == 'pure_nccl':
        from chainer_kfac.communicators.pure_nccl import PureNcclCommunicator
        return PureNcclCommunicator(mpi_comm)
    from chainer_kfac.communicators.naive import NaiveCommunicator
    return NaiveCommunicator(mpi_comm)


def _gpu_for_each(mpi, mpi_comm):
    """Whether all ranks have NCCL, and each node as many GPUs as ranks."""
    names = mpi_comm.allgather(mpi.Get_processor_name())
    return mpi_comm.allreduce(_gpus() >= names.count(mpi.Get_processor_name()), mpi.LAND)


def _gpus():
    if not chainer.backends.cuda.available:
        return 0
    from chainermn import nccl
    if not nccl._available:
        return 0
    runtime = chainer.backends.cuda.cupy.cuda.runtime
    try:
        return runtime.getDeviceCount()
    except runtime.CUDARuntimeError:
        return 0
