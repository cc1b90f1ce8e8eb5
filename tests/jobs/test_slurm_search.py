"""A search on two nodes: the driver on one, workers on both, one of which is cancelled."""
import pytest

from chainer_kfac.search.documents import DONE, RUNNING
from slurm_cluster import until

pytestmark = [pytest.mark.slurm, pytest.mark.mongo]

TRIALS = 4


def test_a_worker_is_cancelled_and_the_search_completes(kfac, slurm, trials):
    submitted = kfac(
        'submit', 'search', '--optimizer', 'momentum_sgd', '--batch', '64', '--trials', TRIALS,
        '--workers', '2', '--mongo', trials.address, '--profile', 'smoke', '--dataset', 'digits',
        '--gpus-per-node', '0', '--cpus-per-rank', '1',
        'epochs=4', 'min_updates=0', 'train_size=256', 'test_size=64')
    assert submitted.returncode == 0, submitted.stderr
    until(lambda: len(trials(state=RUNNING)) == 2, 200, kfac.logs)
    owner = trials(state=RUNNING)[0]['owner']
    parts = _parts(slurm, kfac.job('kfac-worker'))
    assert sorted(parts) == ['n1', 'n2']
    victim = parts.pop(_node(owner))
    assert slurm.run('scancel', victim).returncode == 0
    assert slurm.wait(victim) == ['CANCELLED']

    assert slurm.wait(kfac.job('kfac-driver'), 400) == ['COMPLETED'], kfac.logs()
    until(lambda: slurm.run('squeue', '-h').stdout == '', 200, kfac.logs)  # no worker stays
    assert [trial['state'] for trial in trials()] == [DONE] * TRIALS
    (given_back,) = (trial for trial in trials() if trial['history'])
    assert given_back['history'][0]['owner'] == owner
    assert _node(given_back['owner']) in parts
    assert 'loss' in kfac('search', 'best', '--mongo', trials.address).stdout


def _node(owner):
    return owner.partition(':')[0]


def _parts(slurm, job):
    """Node -> the part of the job that runs on it."""
    shown = slurm.run('squeue', '-h', '-r', '-j', job, '-t', 'running', '-o', '%N %i').stdout
    return dict(line.split() for line in shown.splitlines())
