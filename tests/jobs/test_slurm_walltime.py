"""A job that reaches the end of its time: snapshot, requeue, and on to the end."""
import json

import pytest

from slurm_cluster import until

pytestmark = pytest.mark.slurm

CPUS = ('--gpus-per-node', '0', '--cpus-per-rank', '1')


def _log(kfac, root, pattern='quick/custom/digits/momentum_sgd-bs64'):
    (log,) = kfac.folder.glob('{}/{}/seed0/log'.format(root, pattern))
    return json.loads(log.read_text())


SLOW = """\
import time
from chainer_kfac.datasets import BatchIterator

plain = BatchIterator.next

def slow(self):
    time.sleep(2)
    return plain(self)

BatchIterator.__next__ = BatchIterator.next = slow
"""
"""Data come slowly: 40 updates take longer than the shortest walltime that there is."""
SITE = """\
# Only until there is a snapshot.
compgen -G 'runs/quick/*/*/*/seed0/snapshot*' || export PYTHONPATH=$PWD/slow:$PYTHONPATH
"""


def test_the_walltime_ends_a_job_that_goes_on_in_the_next(kfac, slurm):
    (kfac.folder / 'slow').mkdir()
    (kfac.folder / 'slow' / 'sitecustomize.py').write_text(SLOW)
    kfac.environment(SITE)
    config = kfac.config(epochs=10)
    submitted = kfac('submit', 'train', config, *CPUS, '--time', '1:00')
    assert submitted.returncode == 0, submitted.stderr
    job = kfac.job()
    assert kfac('train', config, '--root', 'uninterrupted').returncode == 0
    assert slurm.wait(job, 400) == ['COMPLETED'], kfac.logs()
    log = kfac.logs()
    assert 'SIGUSR1: finishing this step' in log
    assert 'the time is up, to be continued' in log
    assert 'resuming from' in log
    assert log.count('epoch 1/10') == 1, 'it began anew'
    for found, expected in zip(_log(kfac, 'runs'), _log(kfac, 'uninterrupted'), strict=True):
        assert found['main/loss'] == expected['main/loss']
        assert found['validation/main/loss'] == expected['validation/main/loss']


def test_each_part_of_an_array_goes_on_by_itself(kfac, slurm):
    submitted = kfac('submit', 'table1', '--profile', 'smoke', '--dataset', 'digits',
                     '--optimizer', 'momentum_sgd', '--batch', '128', '512', *CPUS,
                     'epochs=5', 'min_updates=0', 'train_size=512', 'test_size=64')
    assert submitted.returncode == 0, submitted.stderr
    job = kfac.job()
    cell = 'table1/smoke/digits/momentum_sgd-bs512'
    until((kfac.folder / 'runs' / cell / 'seed0/log').exists, 200, kfac.logs)
    # As the scheduler does at the end of the time: to the script alone, and for one part only.
    assert slurm.run('scancel', '--batch', '--signal=USR1', job + '_2').returncode == 0
    assert slurm.wait(job, 400) == ['COMPLETED'] * 2, kfac.logs()
    assert [kfac.logs(job + '_' + part).count('to be continued') for part in '12'] == [0, 1]
    assert [entry['epoch'] for entry in _log(kfac, 'runs', cell)] == [1, 2, 3, 4, 5]


def test_a_job_that_fails_is_not_run_again(kfac, slurm):
    config = kfac.config(lr=1e9)  # diverges
    assert kfac('submit', 'train', config, *CPUS).returncode == 0
    job = kfac.job()
    assert slurm.wait(job, 400) == ['FAILED']
    shown = slurm.run('scontrol', 'show', 'job', job).stdout
    assert 'Restarts=0' in shown
    assert 'ExitCode=1:0' in shown
