"""The threads of the BLAS libraries that NumPy and SciPy bring."""
import functools
from contextlib import contextmanager


@contextmanager
def single_threaded_blas():
    """Let BLAS calls run in the thread that makes them, for many small ones from a few threads.

    Small products that each wait for a second thread take longer than on one, and several times as
    long when another process wants that core.
    """
    with _libraries().limit(limits=1):
        yield


@functools.cache
def _libraries():
    # Here and not at import: it lists the libraries that are loaded by now.
    from threadpoolctl import ThreadpoolController
    return ThreadpoolController().select(user_api='blas')
