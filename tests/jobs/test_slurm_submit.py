"""``chainer-kfac submit`` on a real SLURM: arrays, refusals, submitting twice, cancelling."""
import csv
import json

import pytest

pytestmark = pytest.mark.slurm

SMALL = ('--profile', 'smoke', '--dataset', 'digits', 'epochs=1', 'min_updates=0', 'test_size=64')
CELLS = 'runs/table1/smoke/digits'


def test_table1_is_an_array_of_which_each_part_trains_a_cell(kfac, slurm):
    sizes = ('128', '512', '2048')
    words = ('table1', *SMALL, 'train_size=2048', '--optimizer', 'momentum_sgd', '--batch', *sizes)
    # Holds both nodes, so that the parts still wait at the second call, however slow that is.
    blocker = slurm.sbatch(kfac.folder, '#!/bin/sh\nsleep 300\n', '--nodes=2', '--exclusive',
                           '--output=/dev/null')
    submitted = kfac('submit', *words)
    assert submitted.returncode == 0, submitted.stderr
    job = kfac.job()
    assert [line.split()[0] for line in submitted.stdout.splitlines()[-3:]] == [
        '{}_{}'.format(job, part) for part in (1, 2, 3)]

    again = kfac('submit', *words)  # while the parts wait
    assert (again.returncode, again.stdout) == (0, '')
    assert again.stderr.count('already submitted as {}_'.format(job)) == 3
    slurm.run('scancel', blocker)

    assert slurm.wait(job, 400) == ['COMPLETED'] * 3, kfac.logs()
    for part, size in enumerate(sizes, 1):
        run = kfac.folder / CELLS / 'momentum_sgd-bs{}/seed0'.format(size)
        assert json.loads((run / 'result.json').read_text())['epochs'] == 1
        assert json.loads((run / 'jobs.json').read_text())[0]['job_id'] == '{}_{}'.format(job, part)
    assert kfac('submit', '--status').stdout.count(': finished') == 3

    finished = kfac('submit', *words)  # and when they are done
    assert (finished.returncode, finished.stdout) == (0, '')
    assert slurm.run('squeue', '-h').stdout == ''
    table = kfac('table1', '--collect')
    assert table.stdout.count('missing: no run') == 6
    with open(kfac.folder / CELLS / 'table1.csv') as stream:
        finished = {row['batch_size'] for row in csv.DictReader(stream)
                    if (row['optimizer'], row['status']) == ('momentum_sgd', 'finished')}
    assert finished == set(sizes)


@pytest.mark.parametrize('words, reason', [
    (('--queue', 'nowhere'), 'invalid partition specified: nowhere'),
    (('--gpus-per-node', '9'), 'Requested node configuration is not available'),
    (('--directive=--no-such-option',), 'unrecognized option'),
])
def test_what_the_queue_refuses_is_not_submitted(kfac, slurm, words, reason):
    before = slurm.run('squeue', '-h', '-t', 'all').stdout
    done = kfac('submit', 'table1', *SMALL, '--optimizer', 'adam', '--batch', '128', *words)
    assert done.returncode == 2
    assert 'sbatch refuses' in done.stderr
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(kfac.folder.rglob('*.*')), 'something was left behind'
    assert slurm.run('squeue', '-h', '-t', 'all').stdout == before


@pytest.mark.mongo
@pytest.mark.parametrize(('scheduler', 'program'), [('slurm', 'sbatch'), ('openpbs', 'qsub')])
def test_a_second_job_that_is_refused_takes_the_first_with_it(kfac, slurm, scheduler, program):
    blocker = slurm.sbatch(kfac.folder, '#!/bin/sh\nsleep 300\n', '--nodes=2', '--exclusive',
                           '--output=/dev/null')
    before = set(kfac.folder.rglob('*.*'))
    words = ('submit', 'search', '--optimizer', 'kfac', '--batch', '512', '--dataset', 'digits',
             '--mongo', 'mongodb://127.0.0.1:1/x', '--workers', '2', '--scheduler', scheduler)
    with slurm.room_for_one_after(blocker):
        done = kfac(*words)
    assert done.returncode == 2
    assert '{} refuses: '.format(program) in done.stderr
    assert 'you have too many jobs here' in done.stderr
    assert 'Traceback' not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    shown = slurm.run('squeue', '-h', '-t', 'all', '--sort=i', '-o', '%i %j %T').stdout
    (last,) = shown.partition('{} job.sh RUNNING\n'.format(blocker))[2].splitlines()
    assert last.split()[1:] == ['kfac-driver', 'CANCELLED']
    assert slurm.run('squeue', '-h', '-o', '%i').stdout.split() == [blocker]
    assert set(kfac.folder.rglob('*.*')) == before
    assert 'nothing was submitted' in kfac('submit', '--status').stdout


def test_the_study_trains_each_batch_size_where_its_tables_look(kfac, slurm):
    submitted = kfac('submit', 'study', *SMALL, 'train_size=256', '--optimizer', 'momentum_sgd',
                     '--batch', '128', '256', '--root', 'my runs')
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.split('\n')[-2].split('_')[0]
    assert slurm.wait(job, 400) == ['COMPLETED'] * 2, kfac.logs()
    for sweep, size in (('table1', 128), ('study', 256)):
        run = kfac.folder / 'my runs' / sweep / 'smoke/digits/momentum_sgd-bs{}/seed0'.format(size)
        assert json.loads((run / 'result.json').read_text())['epochs'] == 1
    shown = kfac('study', '--collect', '--root', 'my runs')
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count('missing: no run') == 13


def test_cancelled_jobs_can_be_submitted_again(kfac, slurm):
    blocker = slurm.sbatch(kfac.folder, '#!/bin/sh\nsleep 300\n', '--nodes=2', '--exclusive')
    words = ('submit', 'train', kfac.config(epochs=1), '--gpus-per-node', '0')
    assert kfac(*words).returncode == 0
    job = kfac.job()
    assert slurm.states(job) == ['PENDING']
    assert 'pending (Resources)' in kfac('submit', '--status').stdout

    cancelled = kfac('submit', '--cancel', job)
    assert cancelled.returncode == 0, cancelled.stderr
    assert slurm.wait(job) == ['CANCELLED']
    assert kfac(*words).returncode == 0
    assert kfac('submit', '--cancel', 'all').returncode == 0
    assert slurm.states(blocker) == ['RUNNING']  # not ours to cancel
    assert slurm.run('squeue', '-h', '-o', '%i').stdout.split() == [blocker]
