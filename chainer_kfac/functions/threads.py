"""Run compiled kernels on a few threads.

A pool of our own instead of numba's: it is safe to call from several threads and after a fork, it
adds no runtime beside the BLAS library's, and what each task computes does not depend on how many
threads there are, so neither do the results.
"""
import contextlib
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_pool: ThreadPoolExecutor | None = None


def count() -> int:
    """Threads to use: ``$OMP_NUM_THREADS`` as the BLAS library, else the cores of this process."""
    setting = os.environ.get('OMP_NUM_THREADS', '').split(',')[0]
    if setting.isdigit() and int(setting) > 0:
        return int(setting)
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(task: Callable[[int], None], tasks: int) -> None:
    """Call ``task(0)`` to ``task(tasks - 1)``, each once, and return when all are done.

    Args:
        task (callable): releases the GIL for most of its time; an exception is passed on.
        tasks (int): enough of them keep all threads busy; who takes which is not determined.
    """
    helpers = min(count(), tasks) - 1
    if helpers < 1:
        for i in range(tasks):
            task(i)
        return
    numbers = itertools.count()

    def drain():
        while (i := next(numbers)) < tasks:
            task(i)

    futures = []
    try:
        with contextlib.suppress(RuntimeError):     # at the interpreter's end there are no helpers
            for _ in range(helpers):
                futures.append(_executor(helpers).submit(drain))
        drain()
    finally:
        for future in futures:
            future.result()


def run_ranges(length: int, work: Callable[[int, int], None], least: int = 1) -> None:
    """Call ``work(start, stop)`` for ranges that cover ``length``, none much below ``least``."""
    tasks = max(1, min(4 * count(), length // least))
    run(lambda i: work(length * i // tasks, length * (i + 1) // tasks), tasks)


def _executor(workers):
    global _pool
    if _pool is None or _pool._max_workers < workers:
        _pool = ThreadPoolExecutor(workers, 'chainer_kfac')
    return _pool


def _forget_pool():
    global _pool
    _pool = None


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget_pool)  # threads do not survive a fork
