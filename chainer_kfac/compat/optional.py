"""The only home of optional imports."""
import importlib
from types import ModuleType

from chainer_kfac.exceptions import MissingDependency

_EXTRAS = {
    'cupy': 'cuda12] or [cuda13',
    'mpi4py': 'mpi',
    'pymongo': 'search',
    'bson': 'search',
    'gridfs': 'search',
    'hyperopt': 'search',
    'nx_27017': 'search',
    'cupy_backends': 'cuda12] or [cuda13',
    'cupyx': 'cuda12] or [cuda13',
    'matplotlib': 'notebooks',
}


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
        extra = _EXTRAS.get(package)
        remedy = ("pip install 'chainer_kfac[{}]'".format(extra) if extra
                  else 'pip install ' + package)
        raise MissingDependency('{} is needed for {} and does not import ({}): {}'.format(
            package, purpose, error, remedy)) from error
