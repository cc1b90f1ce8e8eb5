"""The cores of a node shared among its ranks."""
import os
import sys
from collections.abc import MutableMapping

_VARIABLES = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')


def share(ranks, environ: MutableMapping[str, str] = os.environ) -> None:
    """Divide the cores that this process may use by the ranks that may use the same. Collective.

    A launcher that binds each rank to cores of its own has done so already; without that, every
    rank would start as many threads as the node has cores. ``OMP_NUM_THREADS``, if a rank has it,
    stays as it is there.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else [0]
    mine = (ranks.hosts[ranks.rank], cores)
    count = max(1, len(cores) // ranks.gather(mine).count(mine))
    if 'OMP_NUM_THREADS' in environ:
        return
    environ.update(dict.fromkeys(_VARIABLES, str(count)))
    if 'numpy' in sys.modules:  # its BLAS has read the variables already
        from threadpoolctl import threadpool_limits
        threadpool_limits(count, user_api='blas')
