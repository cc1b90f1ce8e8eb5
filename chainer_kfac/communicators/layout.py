"""Where the ranks of a world are, compared with what its launcher promised."""
import collections
from collections.abc import Sequence

from chainer_kfac.communicators.launcher import Promise
from chainer_kfac.exceptions import ConfigError


def check_size(promise: Promise, size: int) -> None:
    """Refuse a world of another size than the launcher promised.

    Raises:
        ConfigError: naming both sizes and the likely reason.
    """
    if promise.size is None or promise.size == size:
        return
    reason = ('the launcher and mpi4py do not speak the same PMI: use srun --mpi=pmix, or the '
              'mpirun of the MPI library that mpi4py is built with' if size == 1 else
              'start as many ranks as the job has')
    raise ConfigError('the launcher promised {} ranks ({}) and MPI found {}: {}'.format(
        promise.size, promise.size_by, size, reason))


def check_nodes(promise: Promise, hosts: Sequence[str]) -> None:
    """Refuse ranks that lie on nodes in another way than promised, 3 and 1 for 2 and 2.

    Args:
        promise (Promise): of a world of that size.
        hosts (sequence of str): the node of each rank.
    Raises:
        ConfigError: naming the nodes with their numbers of ranks.
    """
    found = tuple(sorted(collections.Counter(hosts).values(), reverse=True))
    if promise.layout is not None and found != promise.layout:
        promised, by = _said(promise.layout), promise.layout_by
    elif promise.layout is None and promise.most is not None and found[0] > promise.most:
        promised, by = 'at most {}'.format(promise.most), 'SLURM_NTASKS_PER_NODE'
    else:
        return
    raise ConfigError('the ranks of a node were to be {} ({}) and are {}: state them to the '
                      'launcher, as with srun --ntasks-per-node or mpirun --map-by ppr:N:node'
                      .format(promised, by, _by_node(hosts)))


def describe(hosts: Sequence[str]) -> str:
    """Where the ranks are, in words: '3 ranks: 2 on n1, 1 on n2'."""
    return '{} ranks: {}'.format(len(hosts), _by_node(hosts))


def _by_node(hosts):
    return ', '.join('{} on {}'.format(count, host)
                     for host, count in sorted(collections.Counter(hosts).items()))


def _said(layout):
    if len(set(layout)) == 1:
        return '{} on each of {}'.format(layout[0], len(layout))
    return '+'.join(map(str, layout))
