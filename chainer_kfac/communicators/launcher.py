"""What the launcher of this process promised: how many ranks there are, and how many on a node.

Only environment variables are read, so that a promise can be compared with the world that MPI
found: ``srun`` without a PMI that the MPI library knows, or an ``mpirun`` of another library,
starts N worlds of one rank each, and every one of them would train alone and return 0.
"""
import collections
import dataclasses
import pathlib
import re
from collections.abc import Mapping

from chainer_kfac.exceptions import ConfigError

NODES, RANKS_PER_NODE = 'KFAC_NODES', 'KFAC_RANKS_PER_NODE'
"""Exported by job scripts: what was asked of the scheduler."""

_SIZES = {
    'OMPI_COMM_WORLD_SIZE': 'OMPI_COMM_WORLD_RANK',  # Open MPI
    'MV2_COMM_WORLD_SIZE': 'MV2_COMM_WORLD_RANK',    # MVAPICH
    'PMI_SIZE': 'PMI_RANK',                          # MPICH, Intel MPI, Cray, srun --mpi=pmi2
    'JSM_NAMESPACE_SIZE': 'JSM_NAMESPACE_RANK',      # jsrun
    # Last, for the daemons of an mpirun are tasks of a step themselves. A batch script has none
    # of it: what that starts without srun is meant to be alone.
    'SLURM_STEP_NUM_TASKS': 'SLURM_PROCID',
}
_MOST = 'SLURM_NTASKS_PER_NODE'
_RANKS = ('PMIX_RANK', 'PMI_RANK')  # of launchers that say no size

MINE = ('OMPI_', 'PMIX_', 'PRTE_', 'PMI_', 'MV2_', 'JSM_', NODES, RANKS_PER_NODE)
"""How the names begin that describe this process in its world: not for worlds that it starts."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """What the environment says.

    Attributes:
        size (int or None): ranks of the world; None if nothing says it.
        size_by (str): the variables that say so.
        rank (int): this process among them.
        layout (tuple of int or None): ranks on each node, the largest first.
        layout_by (str): the variable that says so.
        most (int or None): ranks that a node has at most, by SLURM_NTASKS_PER_NODE; where the
            layout is known that counts, for an mpirun sets this one to 1 on the other nodes.
        launched (bool): whether MPI has to be asked.
    """

    size: int | None = None
    size_by: str = ''
    rank: int = 0
    layout: tuple[int, ...] | None = None
    layout_by: str = ''
    most: int | None = None
    launched: bool = False


def promise(environ: Mapping[str, str]) -> Promise:
    """Read what the launcher has set.

    Raises:
        ConfigError: if a variable is no number, or the job script and the launcher disagree.
    """
    size, size_by, rank = None, '', 0
    for name, own in _SIZES.items():
        if name in environ:
            size, size_by, rank = _number(environ, name), name, int(environ.get(own, 0))
            break
    layout, layout_by = None, ''
    if NODES in environ and RANKS_PER_NODE in environ:
        nodes, ranks = _number(environ, NODES), _number(environ, RANKS_PER_NODE)
        layout, layout_by = (ranks,) * nodes, '{} and {}'.format(NODES, RANKS_PER_NODE)
        if size not in (None, nodes * ranks):
            raise ConfigError('the job was to have {} ranks ({}={}, {}={}) and was started with {} '
                              '({}): start as many, or unset those'.format(
                                  nodes * ranks, NODES, nodes, RANKS_PER_NODE, ranks, size,
                                  size_by))
        size, size_by = nodes * ranks, size_by or layout_by
    elif size is not None:
        layout, layout_by = _scheduled(environ, size)
    most = _number(environ, _MOST) if _MOST in environ else None
    launched = (size or 1) > 1 or (size is None and any(name in environ for name in _RANKS))
    return Promise(size, size_by, rank, layout, layout_by, most, launched)


def _scheduled(environ, size):
    """The layout that the scheduler has, where it is one of as many ranks."""
    for name in ('SLURM_STEP_TASKS_PER_NODE', 'SLURM_TASKS_PER_NODE'):
        counts = _tasks_per_node(environ.get(name, ''))
        if counts and sum(counts) == size:
            return tuple(sorted(counts, reverse=True)), name
    try:
        lines = pathlib.Path(environ['PBS_NODEFILE']).read_text().split()
    except (KeyError, OSError):
        return None, ''
    if len(lines) != size:
        return None, ''
    return tuple(sorted(collections.Counter(lines).values(), reverse=True)), 'PBS_NODEFILE'


def _tasks_per_node(text):
    """SLURM's '2(x3),1' as [2, 2, 2, 1]; of anything else, []."""
    counts = []
    for part in text.split(','):
        match = re.fullmatch(r'(\d+)(?:\(x(\d+)\))?', part)
        if match is None:
            return []
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def _number(environ, name):
    text = environ[name]
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError('the environment variable {} must be a whole number above 0, got {!r}'
                          .format(name, text))
    return int(text)
