"""What a script does when it runs: signals, exit codes, environment, copies of the data.

Small programs stand for chainer-kfac and the scheduler's commands; ``test_slurm_*.py`` runs the
real ones.
"""
import dataclasses
import os
import signal
import subprocess
import time

import pytest

from chainer_kfac.jobs import catalogue
from chainer_kfac.jobs.dialects import DIALECTS
from chainer_kfac.jobs.rendering import render

SLURM = {'SLURM_JOB_ID': '7', 'SLURM_ARRAY_JOB_ID': '5', 'SLURM_ARRAY_TASK_ID': '2',
         'SLURM_JOB_NUM_NODES': '1', 'SLURM_NTASKS_PER_NODE': '1', 'SLURM_CPUS_PER_TASK': '6'}
PBS = {'PBS_JOBID': '5[2].host', 'PBS_ARRAY_INDEX': '2', 'PBS_ARRAYID': '2'}
VARIABLES = {'slurm': SLURM, 'openpbs': PBS, 'torque': PBS}

NOTE = 'echo "${0##*/} $*" >> calls\n'
SNAPSHOT = """\
trap 'echo snapshot >> calls; exit 138' USR1
echo started >> calls
for i in $(seq 300); do sleep 0.1; done
"""


class Job:
    """A script that runs in a folder of its own, with programs that stand for others."""

    def __init__(self, folder, dialect, **fields):
        self.folder = folder
        self.folder.mkdir()
        self.variables = {'PATH': '{}:/usr/bin:/bin'.format(folder / 'bin'), 'HOME': str(folder),
                          'TMPDIR': str(folder), **VARIABLES[dialect],
                          'SLURM_SUBMIT_DIR': str(folder), 'PBS_O_WORKDIR': str(folder)}
        (folder / 'bin').mkdir()
        self.script = folder / 'job script.sh'
        job = catalogue.sweep('table1', [], (('--batch', '128'), ('--batch', '512')), env=None)
        self.script.write_text(render(dataclasses.replace(job, **fields), DIALECTS[dialect]))
        self.program('chainer-kfac', 'exit 0')
        for name in ('scontrol', 'qsub'):
            self.program(name, 'echo 99.host')

    def hurry(self):
        """Let the script's own clock, of a walltime of 60 s, run out at once."""
        text = self.script.read_text()
        self.script.write_text(text.replace('-lt 45 ]; do sleep 5;', '-lt 1 ]; do sleep 0.1;'))

    def program(self, name, text):
        path = self.folder / 'bin' / name
        path.write_text('#!/bin/bash\n' + NOTE + text)
        path.chmod(0o755)

    def start(self, **variables):
        return subprocess.Popen(['bash', self.script], env={**self.variables, **variables},
                                cwd=self.folder, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, **variables):
        return self.finish(self.start(**variables))

    def finish(self, process):
        process.out, process.err = process.communicate(timeout=60)
        return process

    @property
    def calls(self):
        path = self.folder / 'calls'
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, call):
        end = time.monotonic() + 60
        while call not in self.calls:
            assert time.monotonic() < end, self.calls
            time.sleep(0.02)


@pytest.fixture
def make(tmp_path):
    return lambda dialect='slurm', **fields: Job(tmp_path / "it's a folder", dialect, **fields)


@pytest.mark.parametrize('dialect', DIALECTS)
@pytest.mark.parametrize('code', [0, 1, 2, 137])
def test_the_exit_code_is_that_of_the_command(make, dialect, code):
    job = make(dialect)
    job.program('chainer-kfac', 'exit {}'.format(code))
    assert job.run().returncode == code
    assert job.calls == ['chainer-kfac table1 --batch 512']


def test_a_warned_slurm_job_stores_a_snapshot_and_is_requeued(make):
    job = make()
    job.program('chainer-kfac', SNAPSHOT)
    process = job.start()
    job.wait_for('started')
    process.send_signal(signal.SIGUSR1)
    job.finish(process)
    assert process.returncode == 3, process.err
    # not "requeue 7": the last part of an array has the number of the whole
    assert job.calls[2:] == ['snapshot', 'scontrol requeue 5_2']
    assert 'to be continued' in process.out


@pytest.mark.parametrize(('dialect', 'option'), [('openpbs', '-J'), ('torque', '-t')])
def test_a_pbs_job_warns_itself_and_goes_on_as_another(make, dialect, option):
    job = make(dialect, walltime=60, variables=('PROFILE',), logs='.')
    job.hurry()
    job.program('chainer-kfac', SNAPSHOT)
    job.program('qsub', 'cp "${@: -1}" next; echo 99.host')
    process = job.run(PROFILE='short', KFAC_RESTARTS='4')
    assert process.returncode == 3, process.err
    assert job.calls[3].startswith(
        'qsub -v KFAC_RESTARTS=5,KFAC_TASK=2,PROFILE=short ')
    text, again = job.script.read_text(), (job.folder / 'next').read_text()
    assert again == text.replace('#PBS {} 1-2\n'.format(option), '') != text
    assert (job.folder / 'continued').read_text() == 'kfac-table1 2 99.host\n'
    job.script.write_text(again)  # a job of its own, for that part alone
    job.program('chainer-kfac', 'exit 0')
    del job.variables['PBS_ARRAY_INDEX'], job.variables['PBS_ARRAYID']
    assert job.run(KFAC_TASK='1').returncode == 0
    assert job.calls[-1] == 'chainer-kfac table1 --batch 128'


@pytest.mark.parametrize(('said', 'wanted'), [
    ({}, 'qsub -A our lab -q gpu -v'), ({'queue': 'cpu', 'account': 'theirs'}, 'qsub -v')])
def test_a_pbs_job_goes_on_under_the_account_and_in_the_queue_of_the_first(make, said, wanted):
    """Where no directive says them, a command line did, from variables of env.sh."""
    job = make('openpbs', walltime=60, variables=('PROFILE',), **said)
    job.hurry()
    job.program('chainer-kfac', SNAPSHOT)
    job.program('qsub', 'echo 99.host')
    process = job.run(KFAC_ACCOUNT='our lab', KFAC_QUEUE='gpu')
    assert process.returncode == 3, process.err
    assert job.calls[3].startswith(wanted + ' KFAC_RESTARTS=1')


def test_the_clock_of_a_script_ends_with_it(make):
    job = make('openpbs')
    job.script.write_text(job.script.read_text().replace('do sleep 5;', 'do sleep 0.2;'))
    job.program('sleep', 'exec /bin/sleep "$@"')
    process = job.run()  # returns when nothing holds the output open any more
    assert process.returncode == 0
    looks = job.calls.count('sleep 0.2')
    time.sleep(1)
    assert job.calls.count('sleep 0.2') <= looks + 1


@pytest.mark.parametrize(('dialect', 'command'), [('slurm', 'scontrol'), ('openpbs', 'qsub')])
def test_what_cannot_be_continued_says_so(make, dialect, command):
    job = make(dialect, walltime=60)
    job.hurry()
    job.program('chainer-kfac', SNAPSHOT)
    job.program(command, 'exit 1')
    process = job.start()
    if dialect == 'slurm':
        job.wait_for('started')
        process.send_signal(signal.SIGUSR1)
    job.finish(process)
    assert process.returncode == 2
    assert 'submit it again' in process.err


def test_a_second_warning_does_no_harm(make):
    job = make()
    job.program('chainer-kfac', SNAPSHOT.replace('calls; exit', 'calls; sleep 1; exit'))
    process = job.start()
    job.wait_for('started')
    process.send_signal(signal.SIGUSR1)
    job.wait_for('snapshot')
    process.send_signal(signal.SIGUSR1)
    assert job.finish(process).returncode == 3
    assert job.calls[2:] == ['snapshot', 'scontrol requeue 5_2']


@pytest.mark.parametrize('code', [0, 1, 2])
def test_what_ends_after_the_warning_by_itself_is_not_continued(make, code):
    job = make()
    job.program('chainer-kfac', SNAPSHOT.replace('138', str(code)))
    process = job.start()
    job.wait_for('started')
    process.send_signal(signal.SIGUSR1)
    assert job.finish(process).returncode == code
    assert not any('requeue' in call for call in job.calls)


def test_a_worker_that_was_warned_goes_on(make):
    job = make(endless=True)
    job.program('chainer-kfac', SNAPSHOT.replace('138', '0'))
    process = job.start()
    job.wait_for('started')
    process.send_signal(signal.SIGUSR1)
    assert job.finish(process).returncode == 3
    assert job.calls[-1] == 'scontrol requeue 5_2'
    job.program('chainer-kfac', 'exit 0')
    assert job.run().returncode == 0


def test_a_job_that_gets_nowhere_ends_some_day(make):
    job = make()
    job.program('chainer-kfac', SNAPSHOT)
    process = job.start(SLURM_RESTART_COUNT='100')
    job.wait_for('started')
    process.send_signal(signal.SIGUSR1)
    job.finish(process)
    assert process.returncode == 2
    assert 'not done after 100 restarts' in process.err


def test_a_cancelled_job_ends_with_its_command_and_is_not_continued(make):
    job = make()
    job.program('chainer-kfac', SNAPSHOT.replace('USR1', 'TERM').replace('138', '143'))
    process = job.start()
    job.wait_for('started')
    children = subprocess.run(['pgrep', '-P', str(process.pid)], capture_output=True, text=True,
                              check=True).stdout.split()
    for pid in [process.pid, *map(int, children)]:  # a scheduler sends it to all of them
        os.kill(pid, signal.SIGTERM)
    assert job.finish(process).returncode == 143
    assert job.calls[2:] == ['snapshot']


def test_what_is_cancelled_after_its_warning_is_not_continued(make):
    job = make()
    job.program('chainer-kfac', SNAPSHOT.replace('calls; exit', 'calls; sleep 1; exit'))
    process = job.start()
    job.wait_for('started')
    process.send_signal(signal.SIGUSR1)
    job.wait_for('snapshot')
    process.terminate()
    assert job.finish(process).returncode == 143
    assert job.calls[2:] == ['snapshot']


def test_a_warning_before_the_command_reaches_it(make):
    job = make(env='env.sh')
    (job.folder / 'env.sh').write_text('kill -USR1 $$\n')
    job.program('chainer-kfac', SNAPSHOT.replace('seq 300', 'seq 3000'))
    process = job.run()
    assert process.returncode == 3
    assert job.calls[-1] == 'scontrol requeue 5_2'


@pytest.mark.parametrize('dialect', DIALECTS)
def test_threads_and_what_was_asked_for_are_exported(make, dialect):
    job = make(dialect, cpus_per_rank=6)
    job.program('chainer-kfac', 'env > environment')
    assert job.run().returncode == 0
    there = (job.folder / 'environment').read_text().splitlines()
    for name in ('OMP', 'OPENBLAS', 'MKL', 'NUMBA'):
        assert name + '_NUM_THREADS=6' in there
    assert {'KFAC_NODES=1', 'KFAC_RANKS_PER_NODE=1'} <= set(there)


@pytest.mark.parametrize(('dialect', 'launcher', 'expected'), [
    ('slurm', 'srun', 'srun --kill-on-bad-exit=1 --cpus-per-task=6 chainer-kfac table1 --batch'),
    ('slurm', 'mpirun', 'mpirun --bind-to none --map-by ppr:4:node -n 8 '),
    ('openpbs', 'srun', 'mpirun --bind-to none --hostfile NODEFILE --map-by ppr:4:node -n 8 '),
    ('torque', 'srun', 'mpirun --bind-to none --hostfile NODEFILE --map-by ppr:4:node -n 8 ')])
def test_several_processes_are_started_together(make, dialect, launcher, expected):
    job = make(dialect, nodes=2, gpus_per_node=4, cpus_per_rank=6, launcher=launcher)
    for name in ('srun', 'mpirun'):
        job.program(name, '')
    process = job.run(SLURM_JOB_NUM_NODES='2', SLURM_NTASKS_PER_NODE='4', PBS_NODEFILE='NODEFILE',
                      CUDA_VISIBLE_DEVICES='0,1')
    assert process.returncode == 0, process.err
    call = next(call for call in job.calls if 'table1' in call)
    assert call.startswith(expected)
    assert call.endswith('chainer-kfac table1 --batch 512')
    if expected.startswith('mpirun'):  # other nodes get no variable by themselves
        for name in ('PATH', 'OMP_NUM_THREADS', 'KFAC_NODES', 'CUDA_VISIBLE_DEVICES'):
            assert ' -x {} '.format(name) in call


def test_the_data_is_copied_to_the_node_and_removed(make):
    job = make()
    images = job.folder / 'shared disk/pfnet/chainer/cifar'
    images.mkdir(parents=True)
    (images / 'cifar-10.npz').write_text('images')
    job.program('chainer-kfac', 'cat "$CHAINER_DATASET_ROOT/pfnet/chainer/cifar/cifar-10.npz"\n'
                                'echo " in $CHAINER_DATASET_ROOT"')
    local = job.folder / 'local disk'
    process = job.run(CHAINER_DATASET_ROOT=str(job.folder / 'shared disk'), KFAC_SCRATCH=str(local))
    assert process.out == 'images in {}/kfac-5-2\n'.format(local), process.err
    assert list(local.iterdir()) == []


def test_a_full_local_disk_is_no_failure(make):
    job = make()
    (job.folder / '.chainer/dataset/pfnet/chainer/cifar').mkdir(parents=True)
    job.program('chainer-kfac', 'echo "${CHAINER_DATASET_ROOT-shared}"')
    job.program('cp', 'exit 1')
    process = job.run()
    assert (process.returncode, process.out) == (0, 'shared\n')
    assert 'no copy of the images' in process.err


def test_the_environment_file_is_read_and_may_use_unset_variables(make):
    job = make(env='my env.sh')
    (job.folder / 'my env.sh').write_text('export FROM_ENV="a$NEVER_SET_b"\n')
    job.program('chainer-kfac', 'echo "$FROM_ENV"')
    process = job.run()
    assert (process.returncode, process.out) == (0, 'a\n'), process.err


@pytest.mark.parametrize(('content', 'says'), [
    (None, 'kfac-table1: no my env.sh: copy env.sh.example to it'),
    ('# first\nmodule load cuda/99\n', 'kfac-table1: my env.sh, line 2: module load cuda/99\n')])
def test_an_environment_that_fails_is_named(make, content, says):
    job = make(env='my env.sh')
    if content:
        (job.folder / 'my env.sh').write_text(content)
    process = job.run()
    assert process.returncode == 2
    assert says in process.err
    assert job.calls == []


def test_a_missing_command_is_named(make):
    job = make(env='env.sh')
    (job.folder / 'env.sh').write_text('PATH=/usr/bin:/bin\n')
    process = job.run()
    assert process.returncode == 2
    assert process.err == ('kfac-table1: no chainer-kfac on the PATH: activate its virtual '
                           'environment in env.sh\n')


def test_a_script_that_was_not_submitted_says_how(make):
    job = make()
    del job.variables['SLURM_JOB_ID']
    process = job.run()
    assert process.returncode != 0
    assert 'submit this script with sbatch' in process.err
    job = Job(job.folder / 'pbs', 'openpbs')
    del job.variables['PBS_ARRAY_INDEX']
    process = job.run()
    assert process.returncode != 0
    assert 'submit this script as an array' in process.err
