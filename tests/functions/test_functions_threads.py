"""The thread pool: each task once, errors passed on, usable after a fork."""
import collections
import os
import signal
import subprocess
import sys

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer.iterators import MultiprocessIterator

from chainer_kfac import functions
from chainer_kfac.functions import threads

X, W = np.ones((8, 3, 12, 12), np.float32), np.ones((4, 3, 3, 3), np.float32)


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '3')


def test_each_task_runs_once():
    for tasks in (0, 1, 2, 50):
        done = collections.Counter()
        threads.run(lambda i, done=done: done.update([i]), tasks)
        assert done == dict.fromkeys(range(tasks), 1)


def test_ranges_cover_the_length():
    for length in (0, 1, 5, 1000):
        covered = []
        threads.run_ranges(length, lambda start, stop, c=covered: c.extend(range(start, stop)), 4)
        assert sorted(covered) == list(range(length))


def test_an_error_in_any_task_is_raised():
    def fail(i):
        if i % 5 == 4:
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        threads.run(fail, 20)


@pytest.mark.parametrize(('setting', 'expected'), [('2', 2), ('4,1', 4), ('', None), ('x', None)])
def test_number_of_threads(monkeypatch, setting, expected):
    monkeypatch.setenv('OMP_NUM_THREADS', setting)
    assert threads.count() == (expected or len(os.sched_getaffinity(0)))


def test_idle_blas_threads_are_sent_to_sleep_before_numpy_is_there():
    program = '''
import os, sys
import chainer_kfac
print('numpy' in sys.modules, os.environ['OPENBLAS_THREAD_TIMEOUT'])
'''
    for given, expected in ((None, 'False 4'), ('20', 'False 20')):
        environment = {k: v for k, v in os.environ.items() if k != 'OPENBLAS_THREAD_TIMEOUT'}
        if given:
            environment['OPENBLAS_THREAD_TIMEOUT'] = given
        result = subprocess.run([sys.executable, '-c', program], env=environment, text=True,
                                capture_output=True, check=True)
        assert result.stdout.strip() == expected


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
@pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
def test_a_forked_child_can_compute():
    with functions.using():
        expected = F.convolution_2d(X, W).array
        child = os.fork()
        if not child:
            signal.alarm(60)  # a pool without its threads would wait for ever
            same = np.array_equal(F.convolution_2d(X, W).array, expected)
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0


class Convolved(chainer.dataset.DatasetMixin):
    """Examples that are computed with the kernels in the worker process."""

    def __len__(self):
        return 8

    def get_example(self, i):
        return F.convolution_2d(X[i:i + 1], W).array[0], np.int32(functions.enabled())


@pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
def test_workers_of_a_multiprocess_iterator():
    with functions.using():
        expected = F.convolution_2d(X, W).array
        iterator = MultiprocessIterator(Convolved(), 8, repeat=False, shuffle=False, n_processes=2,
                                        shared_mem=1 << 20)
        try:
            batch = iterator.next()
        finally:
            iterator.finalize()
    np.testing.assert_allclose([x for x, _ in batch], expected)


LATE = """
import threading, time
from chainer_kfac.functions import threads
def work():
    threading.main_thread().join()
    done = []
    threads.run(done.append, 5)
    print(sorted(done))
threading.Thread(target=work).start()
"""


def test_a_thread_that_outlives_the_main_one_does_all_the_work_itself():
    """No pool takes tasks any more by then."""
    done = subprocess.run([sys.executable, '-c', LATE], capture_output=True, text=True)
    assert done.stdout == '[0, 1, 2, 3, 4]\n', done.stderr
