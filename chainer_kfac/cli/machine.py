"""What this machine can do, one check a function, for ``chainer-kfac doctor``.

Each check returns a ``Finding`` and never raises: what is broken is what it is there to tell.
"""
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from chainer_kfac import compat

SECONDS = 30
"""How long a program that is asked for its version may take."""


class Finding(NamedTuple):
    """One line of the report, and the lines below it."""

    topic: str
    state: str                               # 'ok', 'missing' (may be done without), 'broken'
    text: str
    remedy: str = ''


def python() -> Finding:
    """The interpreter."""
    return Finding('Python', 'ok', '{} ({}), {} on {}'.format(
        platform.python_version(), sys.executable, platform.system(), platform.machine()))


def chainer() -> Finding:
    """Chainer, and whether it imports."""
    try:
        import chainer
        import chainermn  # noqa: F401  (ships with it)
    except Exception as error:
        return Finding('Chainer', 'broken', 'does not import: {}'.format(_sentence(error)),
                       "pip install 'setuptools<81' wheel && "
                       'pip install --no-build-isolation --force-reinstall chainer==7.8.1')
    return Finding('Chainer', 'ok', '{} with ChainerMN'.format(chainer.__version__))


def patches() -> Finding:
    """What had to be changed for Chainer to run here."""
    applied = compat.applied()
    return Finding('compat', 'ok', '{} of {} patches applied{}'.format(
        len(applied), len(compat.known()),
        ': ' + ', '.join(patch.name for patch in applied) if applied else ''))


def numpy() -> Finding:
    """NumPy and the libraries beside it."""
    names = ('numpy', 'scipy', 'numba', 'scikit-learn')
    return Finding('NumPy', 'ok', ', '.join('{} {}'.format(name, _version(name)) for name in names))


def blas() -> Finding:
    """The library behind matrix products, and how many threads it uses."""
    import numpy.linalg  # noqa: F401  (loads it)
    from threadpoolctl import threadpool_info
    pools = ['{} {} ({}), {} threads'.format(
        pool['internal_api'], pool['version'], pool.get('architecture') or 'any processor',
        pool['num_threads']) for pool in threadpool_info() if pool['user_api'] == 'blas']
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    remedy = 'set OMP_NUM_THREADS to divide the cores among processes' if cores > 1 else ''
    return Finding('BLAS', 'ok' if pools else 'missing', '{}; {} cores'.format(
        '; '.join(dict.fromkeys(pools)) or 'not recognised', cores), remedy)


def gpu() -> Finding:
    """CuPy and the graphics cards that it can use."""
    install = compat.remedy('cupy')
    if importlib.util.find_spec('cupy') is None:
        driver = shutil.which('nvidia-smi')
        return Finding('GPU', 'missing', 'CuPy is not installed' + (
            '; there is an NVIDIA driver' if driver else '; no NVIDIA driver either'),
            install if driver else '')
    try:
        cupy = compat.require('cupy', 'the GPU')
        runtime = cupy.cuda.runtime
        cards = [runtime.getDeviceProperties(i)['name'].decode()
                 for i in range(runtime.getDeviceCount())]
        if not cards:
            raise RuntimeError('no card found')
    except Exception as error:
        return Finding('GPU', 'missing', 'CuPy {} finds no card: {}'.format(
            _version_of_any('cupy-cuda13x', 'cupy-cuda12x', 'cupy'), _sentence(error)),
            'check nvidia-smi; ' + install)
    return Finding('GPU', 'ok', 'CuPy {}, CUDA {}: {}'.format(
        cupy.__version__, runtime.runtimeGetVersion(), ', '.join(cards)))


def nccl() -> Finding:
    """NCCL, which several GPUs need to train together."""
    if importlib.util.find_spec('cupy') is None:
        return Finding('NCCL', 'missing', 'needs CuPy first')
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')       # CuPy advises too
        try:
            version = compat.require('cupy.cuda.nccl', 'several GPUs').get_version()
        except Exception as error:
            return Finding('NCCL', 'missing', 'only several GPUs need it ({})'.format(
                _sentence(error)), 'pip install nvidia-nccl-cu13, or -cu12')
    return Finding('NCCL', 'ok', str(version))


def mpi() -> Finding:
    """mpi4py with an MPI library, and the program that starts several processes."""
    remedy = "{}, or mpi4py built with the cluster's own MPI".format(compat.remedy('mpi4py'))
    if importlib.util.find_spec('mpi4py') is None:
        return Finding('MPI', 'missing', 'mpi4py is not installed', remedy)
    # In a process of its own: initialising MPI may end a process on a login node.
    library = _output(sys.executable, '-c',
                      'from mpi4py import MPI; print(MPI.Get_library_version())')
    beside = os.path.join(os.path.dirname(sys.executable), 'mpirun')
    program = beside if os.path.exists(beside) else shutil.which('mpirun') or shutil.which('srun')
    if not library or not program:
        return Finding('MPI', 'broken', 'mpi4py {} {}'.format(
            _version('mpi4py'), 'without mpirun' if library else 'finds no MPI library'),
            remedy)
    return Finding('MPI', 'ok', 'mpi4py {}, {}, {}'.format(
        _version('mpi4py'), library.partition(',')[0].strip(), program))


def mongodb() -> Finding:
    """What the hyperparameter search stores its trials in."""
    if importlib.util.find_spec('pymongo') is None or importlib.util.find_spec('hyperopt') is None:
        return Finding('MongoDB', 'missing', 'the search needs pymongo and hyperopt',
                       compat.remedy('pymongo'))
    server = shutil.which('mongod')
    if server:
        text = '{} starts by itself'.format(server)
    elif importlib.util.find_spec('nx_27017') is not None:
        text = 'nx-27017 {} starts by itself'.format(_version('nx-27017'))
    else:
        return Finding('MongoDB', 'missing', 'no server on this machine: give --mongo an address',
                       compat.remedy('nx_27017'))
    return Finding('MongoDB', 'ok', 'hyperopt {}, pymongo {}; {}'.format(
        _version('hyperopt'), _version('pymongo'), text))


def scheduler() -> Finding:
    """The batch systems whose commands are here."""
    found = []
    for name, submit, ask in (('SLURM', 'sbatch', '--version'), ('PBS', 'qsub', '--version')):
        program = shutil.which(submit)
        if program:
            found.append('{} ({})'.format(name, (_output(program, ask) or program).splitlines()[0]))
    if not found:
        return Finding('scheduler', 'missing', 'neither sbatch nor qsub: jobs run here, or are '
                                               'submitted from the cluster')
    return Finding('scheduler', 'ok', ', '.join(found))


def datasets() -> Finding:
    """The data sets that need no download."""
    try:
        import chainer.dataset

        from chainer_kfac import datasets
        ready = [name for name in sorted(datasets.REGISTRY) if datasets.is_cached(name)]
        wanting = [name for name in sorted(datasets.REGISTRY) if name not in ready]
        text = 'ready: {}; cache: {}'.format(
            ', '.join(ready) or 'none', chainer.dataset.get_dataset_root())
    except Exception as error:
        return Finding('data sets', 'broken', _sentence(error), 'repair Chainer first')
    if not wanting:
        return Finding('data sets', 'ok', text)
    return Finding('data sets', 'missing', '{}; not in the cache: {}'.format(
        text, ', '.join(wanting)), 'it is downloaded at the first use where there is a network; '
                                   'otherwise copy the cache of another machine and set '
                                   'CHAINER_DATASET_ROOT')


CHECKS: tuple[Callable[[], Finding], ...] = (
    python, chainer, patches, numpy, blas, gpu, nccl, mpi, mongodb, scheduler, datasets)
"""All checks, in the order of the report; ``patches`` after ``chainer``, which applies them."""


def _output(*command):
    """What a program prints, or '' if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True,
                              timeout=SECONDS, stdin=subprocess.DEVNULL).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ''


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return '(not installed)'


def _version_of_any(*distributions):
    versions = [_version(name) for name in distributions]
    return next((version for version in versions if version[0].isdigit()), '')


def _sentence(error):
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
