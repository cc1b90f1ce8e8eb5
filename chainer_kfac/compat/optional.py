"""The only home of optional imports."""
import importlib
from types import ModuleType

from chainer_kfac.exceptions import MissingDependency

_EXTRA = {
    **dict.fromkeys(('cupy', 'cupyx', 'cupy_backends'), 'cuda13'),
    'mpi4py': 'mpi',
    **dict.fromkeys(('pymongo', 'bson', 'gridfs', 'hyperopt', 'nx_27017'), 'search'),
    'matplotlib': 'notebooks',
}


def remedy(package: str) -> str:
    """The command that installs an optional package, or the extra that brings it."""
    if package not in _EXTRA:
        return 'pip install ' + package
    command = "pip install 'chainer_kfac[{}]'".format(_EXTRA[package])
    if _EXTRA[package] == 'cuda13':
        command += ' ([cuda12] for a driver older than 580)'
    return command


def require(name: str, purpose: str) -> ModuleType:
    """Import an optional package at its first use.

    Args:
        name (str): what to import, ``'mpi4py.MPI'`` for instance.
        purpose (str): what it is needed for, as it reads in "... is needed for PURPOSE".
    Returns:
        module: the imported module.
    Raises:
        MissingDependency: if it cannot be imported; the message names the extra that brings it.
    """
    package = name.partition('.')[0]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependency('{} is needed for {} and does not import ({}): {}'.format(
            package, purpose, error, remedy(package))) from error
