"""The text of the scripts: those in ``jobscripts/``, and what a description becomes."""
import dataclasses
import pathlib
import re
import subprocess
import sys

import pytest

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.jobs import catalogue, committed
from chainer_kfac.jobs.description import JobDescription
from chainer_kfac.jobs.dialects import DIALECTS
from chainer_kfac.jobs.dialects.sites import Abci, Ito, Tsubame
from chainer_kfac.jobs.rendering import render
from chainer_kfac.training.config import RunConfig

JOBSCRIPTS = pathlib.Path(__file__).resolve().parents[2] / 'jobscripts'
ALL = {**DIALECTS, 'abci': Abci(), 'tsubame': Tsubame(), 'ito': Ito()}

JOB = catalogue.sweep(
    'table1', ['--root', "'my runs'"], (('--batch', '128'), ('--batch', '512')),
    nodes=2, gpus_per_node=4, cpus_per_rank=6, walltime=8 * 3600, account='gs00', queue='gpu',
    directives=('-M me@example.org',), workdir="/shared/my work/it's", logs='runs/jobs/a b',
    env='my env.sh', path='/opt/my venv/bin', variables=('PROFILE',))

DIRECTIVES = {
    'slurm': """\
#SBATCH --job-name=kfac-table1
#SBATCH --array=1-2
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=6
#SBATCH --gres=gpu:4
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="runs/jobs/a b/%x.%A_%a.log"
#SBATCH --account=gs00
#SBATCH --partition=gpu
#SBATCH -M me@example.org
""",
    'openpbs': """\
#PBS -N kfac-table1
#PBS -J 1-2
#PBS -l select=2:ncpus=24:mpiprocs=4:ngpus=4
#PBS -l place=scatter
#PBS -l walltime=08:00:00
#PBS -r y
#PBS -j oe
#PBS -o "runs/jobs/a b/"
#PBS -A gs00
#PBS -q gpu
#PBS -M me@example.org
""",
    'torque': """\
#PBS -N kfac-table1
#PBS -t 1-2
#PBS -l nodes=2:ppn=24:gpus=4
#PBS -l walltime=08:00:00
#PBS -r y
#PBS -j oe
#PBS -o "runs/jobs/a b/"
#PBS -A gs00
#PBS -q gpu
#PBS -M me@example.org
""",
    'abci': """\
#PBS -N kfac-table1
#PBS -J 1-2
#PBS -l select=2:ncpus=24:mpiprocs=4:ngpus=4
#PBS -l place=scatter
#PBS -l walltime=08:00:00
#PBS -r y
#PBS -j oe
#PBS -o "runs/jobs/a b/"
#PBS -P gs00
#PBS -q gpu
#PBS -M me@example.org
""",
    'tsubame': """\
#$ -N kfac-table1
#$ -t 1-2
#$ -l node_f=2
#$ -l h_rt=08:00:00
#$ -r y
#$ -j y
#$ -cwd
#$ -M me@example.org
""",
    'ito': """\
#PJM -N kfac-table1
#PJM --bulk --sparam 1-2
#PJM -L rscunit=ito-b
#PJM -L rscgrp=ito-g-4
#PJM -L vnode=2
#PJM -L vnode-core=36
#PJM -L elapse=08:00:00
#PJM -j
#PJM -X
#PJM -M me@example.org
"""}

each_dialect = pytest.mark.parametrize('name', ALL)


def directives(script, prefix):
    return ''.join(line + '\n' for line in script.splitlines() if line.startswith(prefix + ' '))


@each_dialect
def test_directives(name):
    script = render(JOB, ALL[name])
    assert directives(script, ALL[name].prefix) == DIRECTIVES[name]
    assert script.startswith('#!/bin/bash\n# The cells of Table 1.\n' + DIRECTIVES[name] + '\n')


def test_all_scripts_are_sound_bash(tmp_path):
    jobs = [JOB, dataclasses.replace(JOB, tasks=((),), env=None, logs=None, launcher='mpirun'),
            catalogue.workers(3, ['--exp-key', 'a'], nodes=2, logs='runs'),
            catalogue.driver(['--optimizer', 'kfac'])]
    scripts = [*JOBSCRIPTS.rglob('*.sh'), JOBSCRIPTS / 'env.sh.example']
    for name, dialect in ALL.items():
        for number, job in enumerate(jobs):
            scripts.append(tmp_path / '{}-{}.sh'.format(name, number))
            scripts[-1].write_text(render(job, dialect))
    for script in scripts:
        subprocess.run(['bash', '-n', script], check=True)
    shellcheck = pathlib.Path(sys.executable).with_name('shellcheck')
    done = subprocess.run([shellcheck, '--shell=bash', '--exclude=SC1091', *scripts],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_scripts_of_the_repository_are_what_the_descriptions_become():
    """There is no second copy of the truth; python -m chainer_kfac.jobs.committed writes them."""
    there = {path.relative_to(JOBSCRIPTS).as_posix(): path.read_text()
             for path in JOBSCRIPTS.rglob('*.sh') if path.name != 'env.sh'}
    assert there == committed.scripts()


def test_writing_them_gives_files_that_can_be_run(tmp_path):
    committed.write(tmp_path)
    for name, text in committed.scripts().items():
        assert (tmp_path / name).read_text() == text
        assert (tmp_path / name).stat().st_mode & 0o111


def test_every_dialect_has_every_job():
    names = {'train', 'table1', 'study', 'search-worker', 'search-driver'}
    for folder in ('slurm', 'pbs', 'pbs/torque'):
        assert {path.stem for path in (JOBSCRIPTS / folder).glob('*.sh')} == names
    assert {path.parent.name for path in JOBSCRIPTS.glob('sites/*/table1.sh')} == {
        'abci', 'ito', 'tsubame'}


def test_the_scripts_hold_no_hyperparameters():
    chosen_by_flag = {'optimizer', 'dataset', 'profile'}
    hyperparameters = {field.name for field in dataclasses.fields(RunConfig)} - chosen_by_flag
    for name, text in committed.scripts().items():
        assert not re.search(r'\b({})='.format('|'.join(hyperparameters)), text), name


def test_the_array_of_table1_has_its_nine_cells():
    text = committed.scripts()['slurm/table1.sh']
    assert '#SBATCH --array=1-9\n' in text
    assert '9) arguments=(--optimizer kfac --batch 2048) ;;' in text
    text = committed.scripts()['slurm/study.sh']
    assert '#SBATCH --array=1-15\n' in text


def test_a_job_of_one_part_is_no_array():
    job = dataclasses.replace(JOB, tasks=(('--batch', '128'),))
    for name, array in (('slurm', '--array'), ('openpbs', '-J'), ('torque', '-t'),
                        ('tsubame', '-t'), ('ito', '--bulk')):
        script = render(job, ALL[name])
        assert '{} {}'.format(ALL[name].prefix, array) not in script
        assert "--root 'my runs' --batch 128\n" in script


def test_a_job_without_gpus_asks_for_none():
    job = dataclasses.replace(JOB, gpus_per_node=0, ranks_per_node=2)
    assert 'gres' not in render(job, ALL['slurm'])
    assert 'select=2:ncpus=12:mpiprocs=2\n' in render(job, ALL['openpbs'])
    assert 'nodes=2:ppn=12\n' in render(job, ALL['torque'])


@pytest.mark.parametrize(('walltime', 'warning'), [(24 * 3600, 300), (120, 30), (1200, 300)])
def test_the_warning_leaves_time_for_a_snapshot(walltime, warning):
    assert dataclasses.replace(JOB, walltime=walltime).warning == warning


@pytest.mark.parametrize(('fields', 'says'), [
    ({'nodes': 0}, '--nodes must be at least 1, got 0'),
    ({'gpus_per_node': -1}, '--gpus-per-node must be at least 0, got -1'),
    ({'cpus_per_rank': 0}, '--cpus-per-rank must be at least 1'),
    ({'gpus_per_node': 0, 'ranks_per_node': 0}, '--ranks-per-node must be at least 1'),
    ({'walltime': 30}, '--time must be at least 60, got 30 seconds'),
    ({'ranks_per_node': 3}, '--ranks-per-node must be --gpus-per-node, 4'),
    ({'account': 'my project'}, "--account must be a name without spaces.*'my project'"),
    ({'queue': 'a\n#SBATCH --uid=0'}, '--queue must be a name'),
    ({'directives': ('mem=1',)}, "--directive must be one option .*'mem=1'"),
    ({'directives': ('--a\n--b',)}, '--directive must be one option'),
    ({'name': 'kfac table1'}, "at most 15 letters.*'kfac table1'"),
])
def test_what_no_scheduler_takes_is_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        JobDescription(**{**vars(JOB), **fields})


def test_a_folder_that_no_directive_can_name_is_refused():
    with pytest.raises(ConfigError, match='quotation marks'):
        render(dataclasses.replace(JOB, logs='a"b'), ALL['slurm'])
