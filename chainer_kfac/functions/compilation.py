"""Compile kernels once a machine: at import, for declared types, cached on disk.

A kernel declared with `kernel(...)` is compiled when its module is imported, never by a call.
Its machine code is kept on disk, so that the next process only loads it. numba forgets a cached
function when its own source file changes, but not when a file that it inlines does; the cache's
folder is therefore named after the sources of this package and the shape of the vector registers.
"""
import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import llvmlite.binding as llvm
import numba

_SOURCES = Path(__file__).resolve().parent


def _vector_registers():
    """(floats in a vector register, number of such registers) of this processor."""
    features = llvm.get_host_cpu_features()
    if features.get('avx512f'):
        return 16, 32
    if features.get('avx2'):
        return 8, 16
    return 4, 32 if features.get('neon') else 16


LANES, REGISTERS = _vector_registers()


def cache_directory() -> Path:
    """Folder of the compiled kernels: in the first of these places that can be written.

    ``$NUMBA_CACHE_DIR``; ``__pycache__`` beside this file; ``$XDG_CACHE_HOME`` or ``~/.cache``.
    Where none can, a temporary folder of this process: then each process compiles for itself.
    """
    digest = hashlib.sha256('{} {}'.format(LANES, REGISTERS).encode())
    for source in sorted(_SOURCES.glob('*.py')):
        digest.update(source.read_bytes())
    name = 'chainer_kfac-' + digest.hexdigest()[:16]
    for root in (os.environ.get('NUMBA_CACHE_DIR'), _SOURCES / '__pycache__',
                 os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')):
        directory = Path(root or '', name)
        if root and _make_writable(directory):
            return directory
    directory = tempfile.mkdtemp(prefix=name)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _make_writable(directory):
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def kernel(*signatures: str):
    """Decorator: compile for these signatures and release the GIL while it runs.

    No fast-math: additions keep their order, so that results do not depend on the compiler's mood
    and NaN and infinity behave as in NumPy.
    """
    def decorate(function):
        outer, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(_DIRECTORY)
        try:
            return numba.njit(list(signatures), cache=True, nogil=True, error_model='numpy')(
                function)
        finally:
            numba.config.CACHE_DIR = outer
    return decorate


_DIRECTORY = cache_directory()
