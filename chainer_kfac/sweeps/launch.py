"""How a run with several ranks is started."""
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

from chainer_kfac.communicators import launcher
from chainer_kfac.compat import require
from chainer_kfac.exceptions import MissingDependency

_ROOT = {
    'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}
_AS_TOLD = {
    # As many ranks as were asked for, however few the cores are, and on any of them: their threads
    # are counted, and two runs at a time must not be bound to the same core. Open MPI 4 and 5.
    'OMPI_MCA_rmaps_base_oversubscribe': '1', 'OMPI_MCA_hwloc_base_binding_policy': 'none',
    'PRTE_MCA_rmaps_default_mapping_policy': ':oversubscribe',
    'PRTE_MCA_hwloc_default_binding_policy': 'none'}


def prefix(ranks: int) -> list[str]:
    """What comes before a command that is to run in that many ranks; nothing for one.

    The ``mpirun`` beside the interpreter comes first: it belongs to the MPI library that pip has
    installed for mpi4py.

    Raises:
        MissingDependency: if there is no ``mpirun`` or no mpi4py.
    """
    if ranks == 1:
        return []
    require('mpi4py', '--mpi')
    beside = pathlib.Path(sys.executable).with_name('mpirun')
    program = str(beside) if beside.exists() else shutil.which('mpirun')
    if program is None:
        raise MissingDependency("--mpi found no mpirun: pip install 'chainer_kfac[mpi]', or put "
                                "the cluster's own into PATH")
    return [program, '-n', str(ranks)]


def variables(ranks: int, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of such a command, from that of this process."""
    if ranks == 1:
        return dict(base)
    own = {name: value for name, value in base.items() if not name.startswith(launcher.MINE)}
    root = _ROOT if os.geteuid() == 0 else {}
    given = {name: value for name, value in base.items() if name in _AS_TOLD}
    return {**own, **_AS_TOLD, **root, **given}
