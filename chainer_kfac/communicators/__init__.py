"""Communicators: ChainerMN's own, and with them what spreads K-FAC over processes.

No module here imports MPI or NCCL before `create_communicator` is called.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={'create': ['create_communicator']})
