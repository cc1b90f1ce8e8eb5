"""PBS scripts through the ``qsub`` that SLURM brings, as far as that goes.

It is a front of sbatch: it reads ``select=`` and ``nodes=``, the walltime, arrays and
the name, ignores ``-o`` and ``ngpus``, and cannot take a path with a space.
"""
import json
import shlex

import pytest

from slurm_cluster import until

pytestmark = pytest.mark.slurm

CPUS = ('--gpus-per-node', '0', '--cpus-per-rank', '1')


@pytest.mark.parametrize('scheduler', ['pbs', 'torque'])
def test_qsub_takes_what_a_dry_run_prints(kfac, slurm, scheduler):
    shown = kfac('submit', 'table1', '--scheduler', scheduler, '--dry-run', '--profile', 'paper')
    assert shown.returncode == 0, shown.stderr
    script = kfac.folder / 'table1.sh'
    script.write_text(shown.stdout)
    slurm.sbatch(kfac.folder, '#!/bin/sh\nsleep 300\n', '--nodes=2', '--exclusive')
    taken = slurm.run('qsub', script.name, cwd=kfac.folder)
    assert taken.returncode == 0, taken.stderr
    job = taken.stdout.strip()
    assert slurm.states(job) == ['PENDING'] * 9
    shown = slurm.run('scontrol', 'show', 'job', job).stdout
    assert 'JobName=kfac-table1' in shown
    assert 'TimeLimit=1-00:00:00' in shown
    assert slurm.run('qdel', job).returncode == 0
    assert set(slurm.wait(job)) == {'CANCELLED'}


@pytest.mark.mpi
def test_a_run_on_two_nodes(kfac, slurm):
    go = kfac.folder / 'go'     # else the job may be over before its state has been asked for
    kfac.environment('[ -z "${{SLURM_JOB_ID:-}}" ] || until [ -e {} ]; do sleep 0.1; done\n'.format(
        shlex.quote(str(go))))
    submitted = kfac('submit', 'train', kfac.config(), *CPUS, '--nodes', '2',
                     '--scheduler', 'openpbs')
    assert submitted.returncode == 0, submitted.stderr
    job = kfac.job()
    until(lambda: slurm.states(job) == ['RUNNING'], 200, lambda: _said(kfac))
    assert 'running' in kfac('submit', '--status').stdout
    go.touch()
    assert slurm.wait(job, 400) == ['COMPLETED'], _said(kfac)
    assert ' 2 ranks on' in _said(kfac)
    assert ': finished' in kfac('submit', '--status').stdout


def test_a_part_of_an_array_goes_on_in_a_job_of_its_own(kfac, slurm):
    submitted = kfac('submit', 'table1', '--profile', 'smoke', '--dataset', 'digits',
                     '--optimizer', 'momentum_sgd', '--batch', '128', '512', *CPUS,
                     'epochs=5', 'min_updates=0', 'train_size=512', 'test_size=64',
                     '--scheduler', 'openpbs')
    assert submitted.returncode == 0, submitted.stderr
    job = kfac.job().removesuffix('[]')
    cells = kfac.folder / 'runs/table1/smoke/digits'
    run = cells / 'momentum_sgd-bs512/seed0'
    until((run / 'log').exists, 200, lambda: _said(kfac))
    # What the script's own clock does at the end of the time.
    assert slurm.run('scancel', '--batch', '--signal=USR1', job + '_2').returncode == 0
    assert sorted(slurm.wait(job, 400)) == ['COMPLETED', 'FAILED'], _said(kfac)
    until(lambda: slurm.run('squeue', '-h').stdout == '', 400, lambda: _said(kfac))
    assert 'to be continued' in _said(kfac)
    for size in ('128', '512'):
        result = cells / 'momentum_sgd-bs{}/seed0/result.json'.format(size)
        assert json.loads(result.read_text())['epochs'] == 5
    assert [entry['epoch'] for entry in json.loads((run / 'log').read_text())] == [1, 2, 3, 4, 5]
    assert kfac('submit', '--status').stdout.count(': finished') == 2


def _said(kfac):
    """What the jobs have said."""
    return '\n'.join(path.read_text(errors='replace') for path in kfac.folder.glob('*.sh.[oe]*'))
