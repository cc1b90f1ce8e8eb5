"""Fixtures and rules that every room's tests share.

The suite runs without a GPU, MPI or MongoDB: what needs one carries a marker and is skipped.
``--no-skips-but-gpu`` turns every other skip into a failure of the run.
"""
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import chainer_kfac  # noqa: F401  (first: Chainer does not import without it)

NO_GPU = 'no GPU'
"""Every skip for want of a GPU starts with this."""

# Small problems on busy machines: more threads cost time, and BLAS results would depend on them.
for _variable in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(_variable, '1')
os.environ.setdefault('MPLBACKEND', 'Agg')


def pytest_addoption(parser):
    parser.addoption('--no-skips-but-gpu', action='store_true',
                     help='fail if a test is skipped for a reason other than a missing GPU')


def pytest_configure(config):
    # A job in the background begins with SIGINT ignored, and so would all that tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test sees the user's data sets, and none leaves one behind.
    config.dataset_root = tempfile.TemporaryDirectory(prefix='chainer_kfac-tests-')
    os.environ['CHAINER_DATASET_ROOT'] = config.dataset_root.name
    config.pluginmanager.register(_Skips(config.getoption('--no-skips-but-gpu')), 'skips')


def pytest_unconfigure(config):
    config.dataset_root.cleanup()


class _Skips:
    """Collects the skips that ``--no-skips-but-gpu`` does not accept."""

    def __init__(self, forbidden):
        self._forbidden = forbidden
        self._found = []

    def pytest_runtest_logreport(self, report):
        self._note(report)

    def pytest_collectreport(self, report):
        self._note(report)

    def _note(self, report):
        if not report.skipped or hasattr(report, 'wasxfail'):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix('Skipped: ').startswith(NO_GPU):
            self._found.append('{}: {}'.format(report.nodeid, reason))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if self._forbidden and self._found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self._forbidden and self._found:
            terminalreporter.section('skipped, and not for want of a GPU')
            for line in self._found:
                terminalreporter.line(line)


def _gpus():
    if importlib.util.find_spec('cupy') is None:
        return 0
    import cupy
    try:
        return cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def pytest_collection_modifyitems(items):
    gpus = _gpus()
    needs = {
        'gpu': (gpus >= 1, NO_GPU),
        'multi_gpu': (gpus >= 2, '{}: 2 are needed, {} found'.format(NO_GPU, gpus)),
        'mpi': (importlib.util.find_spec('mpi4py') is not None, 'mpi4py is not installed'),
        'mongo': (importlib.util.find_spec('pymongo') is not None, 'pymongo is not installed'),
        'browser': (shutil.which('chromium') is not None, 'chromium is not installed'),
    }
    for item in items:
        for name, (met, reason) in needs.items():
            if item.get_closest_marker(name) and not met:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def logger_levels():
    """What a command sets for its process is undone after the test that has called it."""
    loggers = [logging.getLogger(name) for name in ('chainer_kfac', 'benchmarks')]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(params=['numpy', pytest.param('cupy', marks=pytest.mark.gpu)])
def xp(request):
    """The array library: NumPy, and CuPy where there is a GPU."""
    return importlib.import_module(request.param)


@pytest.fixture
def mpirun():
    """``mpirun(n, *arguments)`` runs ``python ARGUMENTS`` in n processes, however few the cores.

    Returns the ``subprocess.CompletedProcess`` with its output as text. It never raises for an
    exit code: look at ``returncode``, and at ``stderr`` when it is not what you expect.
    """
    beside_python = Path(sys.executable).parent / 'mpirun'
    program = str(beside_python) if beside_python.exists() else shutil.which('mpirun')
    environment = dict(
        os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1',
        PRTE_MCA_rmaps_default_mapping_policy=':oversubscribe')

    def run(n, *arguments, timeout=120, **variables):
        return subprocess.run(
            [program, '-n', str(n), '--oversubscribe', sys.executable, *map(str, arguments)],
            env={**environment, **variables}, capture_output=True, text=True, timeout=timeout,
            check=False)

    return run
