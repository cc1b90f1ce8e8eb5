"""MPI over two nodes: the numbers of one process, and worlds that are not what was asked for."""
import json

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.mpi]

CPUS = ('--gpus-per-node', '0', '--cpus-per-rank', '1')
KFAC = {'optimizer': 'kfac', 'lr': 0.001, 'cov_ema_decay': 0.99, 'damping': 0.01}


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


def _nothing_was_trained(kfac, slurm):
    assert not list(kfac.folder.glob('runs/*/custom/*/*/seed0/log'))
    assert slurm.run('squeue', '-h').stdout == ''
