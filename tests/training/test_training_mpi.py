"""Runs on several ranks, in real MPI jobs: the same results, and one end for all."""
import json
import pathlib
import re
import signal
import time

import numpy as np
import pytest
import training_support
from training_support import config, finish_and_keep

from chainer_kfac import training
from chainer_kfac.training import run_directory
from chainer_kfac.training.run_directory import path

pytestmark = pytest.mark.mpi

SECONDS = 30
"""Within which all ranks must have ended after one was lost, or were refused."""


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', finish_and_keep)


@pytest.fixture
def launch(mpirun, tmp_path):
    """``launch(ranks, kill, run, *more)``: the training of a configuration as an MPI job."""
    def start(ranks, kill, run, *more, **options):
        return mpirun(ranks, training_support.__file__, kill, 'train', request(run, tmp_path),
                      '--root', tmp_path, *more, **options)
    return start


def request(run, folder):
    file = folder / '{}.yaml'.format(run.digest)
    file.write_text(json.dumps(run.dump()))
    return file


def log_of(directory):
    return json.loads((directory / 'log').read_text())


def assert_same_log(got, expected):
    """Four digits of every loss; every right answer counted."""
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours['epoch'], ours['iteration']) == (theirs['epoch'], theirs['iteration'])
        for key, value in theirs.items():
            if key.startswith(('main/', 'validation/', 'lr')):
                assert ours[key] == pytest.approx(value, rel=5e-5), (ours['epoch'], key)


RUNS = {
    'momentum_sgd': config(dropout=0.0),
    'adam': config('adam', dropout=0.0, select_on='holdout', seed=1),
    'kfac': config('kfac', dropout=0.0, seed=2, loss_scale=8.0),
    'parts': config(dropout=0.0, acc_iters=4, weight_decay=1e-3, seed=3),
    'kfac in parts': config('kfac', dropout=0.0, acc_iters=2, seed=4, factor_update_interval=2),
}
"""Augmented, 200 images, batches of 32: three ranks have 10, 11 and 11 images of each."""


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    """The logs of RUNS without MPI."""
    folder = tmp_path_factory.mktemp('alone')
    training_support.models.REGISTRY['tiny'] = training_support.Tiny
    try:
        for name, run in RUNS.items():
            training.run(run, folder / name)
    finally:
        del training_support.models.REGISTRY['tiny']
    return {name: log_of(folder / name) for name in RUNS}


@pytest.mark.parametrize('ranks', [2, 3])
def test_the_log_does_not_depend_on_the_number_of_ranks(alone, mpirun, tmp_path, ranks):
    pairs = [text for name, run in RUNS.items()
             for text in (request(run, tmp_path), tmp_path / name)]
    done = mpirun(ranks, training_support.__file__, 'none', 'runs', *pairs)
    assert done.returncode == 0, done.stderr
    for name, expected in alone.items():
        log = log_of(tmp_path / name)
        assert_same_log(log, expected)
        result = json.loads((tmp_path / name / 'result.json').read_text())
        assert result['ranks'] == ranks
        # gradients in float32; K-FAC also sends factors
        n = 3 * 4 * 25 + 4 + 20 * 10 + 10
        sent = log[0]['comm/bytes']
        assert sent == 4 * n if 'kfac' not in name else sent > 4 * n
        assert log[0]['comm/seconds'] > 0
        if 'kfac' in name:
            assert log[0]['kfac/bytes'] > 0
            for phase in ('gradient', 'reduce', 'update inverses', 'precondition'):
                assert log[0]['kfac/seconds/' + phase] > 0


def test_four_ranks_then_two_then_one(alone, launch, tmp_path):
    run = RUNS['kfac']
    first = launch(4, 'SIGTERM@5/2', run)
    assert first.returncode == 128 + signal.SIGTERM, first.stderr
    assert first.stderr.count('interrupted at iteration 5, snapshot saved in') == 1
    assert re.search(r'(?s)^4 ranks: 4 on \S+\n.* epochs of .*, 4 ranks on ', first.stderr, re.M)
    second = launch(2, 'SIGUSR1@12/0', run)
    assert second.returncode == 128 + signal.SIGUSR1, second.stderr
    assert 'resuming from {}'.format(path(run, tmp_path) / 'snapshot_iter_5') in second.stderr
    training.run(run, path(run, tmp_path))
    assert_same_log(log_of(path(run, tmp_path)), alone['kfac'])


def test_dropout_repeats_on_as_many_ranks(launch, tmp_path):
    run = config(dropout=0.5)
    whole = launch(2, 'none', run, '--root', tmp_path / 'whole')
    assert whole.returncode == 0, whole.stderr
    cut = launch(2, 'SIGTERM@10/1', run)
    assert cut.returncode == 143, cut.stderr
    assert launch(2, 'none', run).returncode == 0
    states = [training_support.last_state(path(run, root)) for root in (tmp_path,
                                                                        tmp_path / 'whole')]
    training_support.assert_same_state(*states)
    masks = [np.random.RandomState([0, 1, rank]).rand(3) for rank in range(2)]
    assert not np.allclose(*masks)  # each rank its own


@pytest.mark.parametrize(('kill', 'words'), [
    ('SIGKILL@9/2', 'rank 2 on .* has died'),
    ('SIGSTOP@9/1', 'rank 1 on .* has not answered for 15 seconds'),
    ('raise@9/1', 'rank 1 on .*: raised RuntimeError: something is wrong here; all ranks end'),
])
def test_a_lost_rank_ends_all(launch, tmp_path, kill, words):
    run = config(dropout=0.0)
    done = launch(3, kill, run)
    ended = time.time()
    assert done.returncode not in (0, 2), done.stderr
    assert ended - float(re.search(r'now (\S+)', done.stderr)[1]) < SECONDS
    assert re.search('chainer-kfac: ' + words, done.stderr), done.stderr
    assert ('in update_and_act' in done.stderr) == kill.startswith('raise')  # the traceback
    snapshots = run_directory.RunDirectory(path(run, tmp_path)).snapshots()
    assert [each.name for each in snapshots] == ['snapshot_iter_7']
    assert training.run(run, path(run, tmp_path))['iterations'] == 19


@pytest.mark.parametrize(('kill', 'words'), [
    ('digest/1', "the digest of digits is '000000000000' on rank 1 on .* and '.*' on rank 0"),
    ('sources/1', 'the version of chainer_kfac is .* ffffffffffff. on rank 1'),
])
def test_ranks_that_differ_are_refused_by_name(launch, tmp_path, kill, words):
    done = launch(2, kill, config(), timeout=SECONDS)
    assert_refused(done, words)
    assert not path(config(), tmp_path).exists()


def test_ranks_with_another_configuration_are_refused_by_field(launch, tmp_path):
    other = [':', '-n', 1, training_support.sys.executable, training_support.__file__, 'none',
             'train', request(config(lr=0.2), tmp_path)]
    done = launch(1, 'none', config(), *other, timeout=SECONDS)
    assert_refused(done, 'lr is 0.2 on rank 1 on .* and 0.05 on')


def test_another_layout_than_the_job_has_is_refused(launch):
    done = launch(2, 'none', config(), timeout=SECONDS, KFAC_NODES='2', KFAC_RANKS_PER_NODE='1')
    assert_refused(done, r'the ranks of a node were to be 1 on each of 2 .* and are 2 on ')


@pytest.mark.parametrize('rank', [0, 1])
def test_a_world_of_another_size_is_refused_once(rank, tmp_path):
    done = training_support.command('none', config(), tmp_path, env={
        'SLURM_STEP_NUM_TASKS': '4', 'SLURM_PROCID': str(rank)})  # as srun --mpi=none
    assert done.returncode == 2, done.stderr
    if rank:
        assert done.stderr == ''
    else:
        assert_refused(done, r'promised 4 ranks \(SLURM_STEP_NUM_TASKS\) and MPI found 1')
    assert not path(config(), tmp_path).exists()


def test_more_ranks_than_images_of_a_batch_are_refused(launch):
    assert_refused(launch(3, 'none', config(batch_size=4, acc_iters=2)),
                   'batch_size must be at least 6')


def assert_refused(done, words):
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith('chainer-kfac')]
    assert len(said) == 1, done.stderr
    assert re.search(words, said[0]), said[0]


def test_ranks_end_with_their_launcher(mpirun, tmp_path):
    """An mpirun that is killed leaves its ranks behind; they must not train on for ever."""
    program = tmp_path / 'program.py'
    program.write_text(
        'import os, signal, subprocess, sys, time\n'
        'from chainer_kfac.communicators.world import joined\n'
        'with joined() as ranks:\n'
        '    open(sys.argv[1] + str(ranks.rank), "w").write(str(os.getpid()))\n'
        '    ranks.bcast(None)\n'
        '    if ranks.rank == 1:\n'
        '        os.kill(os.getppid(), signal.SIGKILL)\n'
        '    time.sleep(120)\n')
    assert mpirun(2, program, tmp_path / 'pid').returncode == -signal.SIGKILL
    ranks = [int((tmp_path / 'pid{}'.format(rank)).read_text()) for rank in range(2)]
    until = time.monotonic() + SECONDS
    while any(pathlib.Path('/proc', str(each)).exists() for each in ranks):
        assert time.monotonic() < until
        time.sleep(0.2)
