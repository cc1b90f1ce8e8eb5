"""Communicators: ChainerMN's own, and with them what spreads K-FAC over processes.

No module here imports MPI or NCCL before `create_communicator` is called.
"""
from chainer_kfac.communicators.create import create_communicator  # noqa: F401
