"""The throw-away cluster itself: what the tests of jobs rely on."""
import subprocess

import pytest

from slurm_cluster import NODES, SlurmCluster, until

pytestmark = pytest.mark.slurm


def test_nodes_look_like_two_machines(slurm):
    shown = slurm.run('srun', '--nodes=2', '--gres=gpu:2', 'sh', '-c',
                      'echo $(hostname) $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES')
    assert sorted(shown.stdout.split('\n')) == ['', 'n1 n1 0,1', 'n2 n2 0,1']


def test_a_job_starts_in_the_folder_of_its_submission_and_its_exit_code_counts(slurm, tmp_path):
    good = slurm.sbatch(tmp_path, '#!/bin/sh\npwd\n')
    bad = slurm.sbatch(tmp_path, '#!/bin/sh\nexit 3\n')
    assert slurm.wait(good) == ['COMPLETED']
    assert slurm.wait(bad) == ['FAILED']
    assert (tmp_path / 'slurm-{}.out'.format(good)).read_text() == '{}\n'.format(tmp_path)


def test_a_second_cluster_knows_nothing_of_the_first_and_leaves_nothing(slurm, tmp_path):
    kept = slurm.sbatch(tmp_path, '#!/bin/sh\nsleep 300\n')
    other = SlurmCluster()
    try:
        other.start()
        assert other.run('squeue', '-h').stdout == ''
        stubborn = '#!/bin/sh\ntrap "" TERM\n' + 3 * 'setsid sleep 4321 & \n' + 'wait\n'
        other.sbatch(tmp_path, stubborn)
        until(lambda: _running('sleep 4321') == 3)
    finally:
        other.stop()
    assert not other.folder.exists()
    assert _running(str(other.folder)) == _running('sleep 4321') == 0
    assert slurm.states(kept) == ['RUNNING']
    assert slurm.run('sinfo', '-h', '-N', '-o', '%N').stdout.split() == list(NODES)


def _running(words):
    shown = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True, check=True)
    return sum(words in line for line in shown.stdout.splitlines())
