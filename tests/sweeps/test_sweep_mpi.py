"""Sweeps whose runs have several ranks, started by the sweep or together with it."""
import json
import os
import subprocess
import sys
import time

import pytest

from chainer_kfac.sweeps import launch
from chainer_kfac.sweeps.child import CONSOLE, Child, environment
from chainer_kfac.training import RunConfig
from chainer_kfac.training.run_directory import path

TABLE = ['-m', 'chainer_kfac', 'table1', '--profile', 'smoke', '--dataset', 'digits',
         '--optimizer', 'momentum_sgd', 'adam', '--batch', '128', 'train_size=128', 'test_size=21',
         'epochs=1', 'min_updates=1', 'device=-1']
RUN = RunConfig(dataset='digits', train_size=64, test_size=20, batch_size=16, epochs=1,
                optimizer='momentum_sgd', lr=0.01, device=-1)


def result_of(root, optimizer):
    found = root / 'table1/smoke/digits/{}-bs128/seed0/result.json'.format(optimizer)
    return json.loads(found.read_text())


def test_the_environment_of_ranks(monkeypatch):
    outer = {'PATH': '/bin', 'OMPI_COMM_WORLD_SIZE': '1', 'PMIX_RANK': '0', 'KFAC_NODES': '1',
             'OMPI_MCA_rmaps_base_oversubscribe': '0', 'CUDA_VISIBLE_DEVICES': 'x'}
    variables = environment(1, 2, 8, ['0', '1', '2', '3'], outer, ranks=2)
    assert variables['OMP_NUM_THREADS'] == '2'
    assert variables['CUDA_VISIBLE_DEVICES'] == '2,3'
    assert not {'OMPI_COMM_WORLD_SIZE', 'PMIX_RANK', 'KFAC_NODES'} & set(variables)
    assert variables['OMPI_MCA_rmaps_base_oversubscribe'] == '0'  # as the user has it
    assert variables['PRTE_MCA_hwloc_default_binding_policy'] == 'none'
    assert environment(0, 1, 8, [], outer)['PMIX_RANK'] == '0'
    assert launch.prefix(1) == []


@pytest.mark.mpi
def test_table1_starts_ranks(tmp_path):
    done = subprocess.run([sys.executable, *TABLE, '--mpi', '2', '--root', str(tmp_path),
                           '--optimizer', 'adam'],
                          capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert '1 at a time on 2 ranks' in done.stderr
    assert result_of(tmp_path, 'adam')['ranks'] == 2


@pytest.mark.mpi
def test_table1_in_the_ranks_of_a_job(mpirun, tmp_path):
    done = mpirun(2, *TABLE, '--root', tmp_path, 'lr=1e30')
    assert done.returncode == 1, done.stderr
    assert done.stderr.count('FAILED') == 2
    assert done.stdout.count('| Adam') == 3  # one table
    cell = tmp_path / 'table1/smoke/digits/adam-bs128/seed0'
    assert 'training diverged in epoch 1' in json.loads((cell / 'failure.json').read_text())[
        'reason']
    done = mpirun(2, *TABLE, '--root', tmp_path, '--force')
    assert done.returncode == 0, done.stderr
    assert [result_of(tmp_path, name)['ranks'] for name in ('momentum_sgd', 'adam')] == [2, 2]
    assert not (cell / 'failure.json').exists()
    refused = mpirun(2, *TABLE, '--root', tmp_path, '--jobs', 2)
    assert refused.returncode == 2
    assert refused.stderr.count('this command is 2 ranks itself') == 1


@pytest.mark.mpi
def test_a_child_of_several_ranks_stops_and_tells_why(tmp_path):
    def child(run):
        variables = environment(0, 1, 2, [], os.environ, ranks=2)
        return Child(run, path(run, tmp_path), tmp_path, tmp_path, variables, ranks=2)

    endless = RunConfig.parse({**RUN.dump(), 'epochs': 10_000, 'variant': 'endless'})
    made = child(endless)
    until = time.monotonic() + 100
    while not (made.directory / 'log').exists() and time.monotonic() < until:
        time.sleep(0.1)
    made.interrupt()
    made.wait(60)
    assert list(made.directory.glob('snapshot_iter_*'))
    assert 'interrupted at iteration' in (made.directory / CONSOLE).read_text()
    wrong = child(RunConfig.parse({**RUN.dump(), 'batch_size': 1, 'variant': 'wrong'}))
    assert wrong.finish().startswith('batch_size must be at least 2')
