"""MPI over two nodes: the numbers of one process, and worlds that are not what was asked for."""
import json
import pathlib
import shlex
import shutil
import sys

import pytest

from chainer_kfac import resources

pytestmark = [pytest.mark.slurm, pytest.mark.mpi]

CPUS = ('--gpus-per-node', '0', '--cpus-per-rank', '1')
KFAC = {'optimizer': 'kfac', 'lr': 0.001, 'cov_ema_decay': 0.99, 'damping': 0.01}
GPUS = pathlib.Path(__file__).resolve().parents[1] / 'training' / 'gpu_stand_in.py'
"""``chainer-kfac`` that takes the cluster's GPUs for real ones."""


@pytest.mark.parametrize('launcher, fields', [('srun', KFAC), ('mpirun', {})])
def test_two_nodes_give_the_log_of_one_process(kfac, slurm, launcher, fields):
    config = kfac.config(**fields)
    submitted = kfac('submit', 'train', config, *CPUS, '--nodes', '2', '--launcher', launcher)
    assert submitted.returncode == 0, submitted.stderr
    assert kfac('train', config, '--root', 'alone').returncode == 0
    assert slurm.wait(kfac.job(), 400) == ['COMPLETED'], kfac.logs()
    assert '2 ranks: 1 on n1, 1 on n2\n' in kfac.logs()
    assert ' NodeList=n[1-2]\n' in slurm.run('scontrol', 'show', 'job', kfac.job()).stdout
    together, alone = _log(kfac, 'runs'), _log(kfac, 'alone')
    assert [entry['iteration'] for entry in together] == [entry['iteration'] for entry in alone]
    for name in ('main/loss', 'main/accuracy', 'validation/main/loss', 'validation/main/accuracy'):
        assert [entry[name] for entry in together] == pytest.approx(
            [entry[name] for entry in alone], rel=1e-3), name


def _log(kfac, root):
    (log,) = kfac.folder.glob('{}/quick/custom/digits/*/seed0/log'.format(root))
    return json.loads(log.read_text())


def test_two_worlds_of_one_rank_are_no_world_of_two(kfac, slurm):
    assert kfac('submit', 'train', kfac.config(), *CPUS, '--nodes', '2',
                SLURM_MPI_TYPE='none').returncode == 0
    assert slurm.wait(kfac.job(), 400) == ['FAILED'], kfac.logs()
    assert 'the launcher promised 2 ranks' in kfac.logs()
    assert 'and MPI found 1' in kfac.logs()
    _nothing_was_trained(kfac, slurm)


def test_three_and_one_are_not_two_and_two(kfac, slurm):
    kfac.config()
    job = slurm.sbatch(kfac.folder, '#!/bin/bash\n' + ' '.join([
        'KFAC_NODES=2 KFAC_RANKS_PER_NODE=2 mpirun --host n1:3,n2:1 -n 4 --bind-to none',
        'chainer-kfac train quick.yaml\n']), '--nodes=2', '--ntasks-per-node=4')
    assert slurm.wait(job, 400) == ['FAILED']
    said = (kfac.folder / 'slurm-{}.out'.format(job)).read_text()
    assert 'were to be 2 on each of 2' in said
    assert '3 on n1, 1 on n2' in said
    _nothing_was_trained(kfac, slurm)


def test_each_rank_has_a_gpu_of_its_own(slurm):
    started = slurm.run('srun', '--nodes=2', '--ntasks-per-node=2', '--gres=gpu:2', sys.executable,
                        GPUS, 'devices')
    assert started.returncode == 0, started.stderr
    assert sorted(started.stdout.splitlines()) == ['0 n1 0', '1 n1 1', '2 n2 0', '3 n2 1']


def test_two_ranks_are_not_for_one_gpu(kfac, slurm):
    program = kfac.folder / 'bin' / 'chainer-kfac'
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nexec {} {} "$@"\n'.format(
        shlex.quote(sys.executable), shlex.quote(str(GPUS))))
    program.chmod(0o755)
    kfac.environment('export PATH=$PWD/bin:$PATH CONFIG={}\n'.format(kfac.config()))
    shutil.copy(resources.find('jobscripts') / 'slurm/train.sh', kfac.folder)
    submitted = slurm.run('sbatch', '--parsable', '--ntasks-per-node=2', '--gres=gpu:1',
                          '--cpus-per-task=1', 'train.sh', cwd=kfac.folder)
    job = submitted.stdout.strip()
    assert slurm.wait(job, 400) == ['FAILED'], submitted.stderr
    said = (kfac.folder / 'kfac-train.{}.log'.format(job)).read_text()
    assert said.count('rank 0 on n1 and rank 1 on n1 would train on one GPU') == 1
    _nothing_was_trained(kfac, slurm)


def _nothing_was_trained(kfac, slurm):
    assert not list(kfac.folder.glob('runs/*/custom/*/*/seed0/log'))
    assert slurm.run('squeue', '-h').stdout == ''
