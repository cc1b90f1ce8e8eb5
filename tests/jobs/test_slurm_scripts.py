"""The scripts in ``jobscripts/``, submitted as they are."""
import json
import re
import shutil

import pytest

from chainer_kfac import resources
from chainer_kfac.search.documents import DONE

pytestmark = pytest.mark.slurm

SBATCH = ('sbatch', '--parsable', '--gres=none', '--cpus-per-task=1')


@pytest.fixture
def submit(kfac, slurm):
    """``submit(command, script, **variables)``: the number of the job."""
    shutil.copytree(resources.find('jobscripts'), kfac.folder / 'jobscripts')

    def run(command, script, **variables):
        done = slurm.run(*command, 'jobscripts/' + script, cwd=kfac.folder, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    return run


@pytest.mark.parametrize(('command', 'script'), [
    (SBATCH, 'slurm/train.sh'), (('qsub',), 'pbs/train.sh'), (('qsub',), 'pbs/torque/train.sh')])
def test_train(kfac, slurm, submit, command, script):
    config = kfac.config(epochs=1)
    said = submit(command, script, CONFIG=config)
    assert slurm.wait(said) == ['FAILED']
    assert 'no jobscripts/env.sh: copy env.sh.example to it and edit it' in _said(kfac, said)

    kfac.environment()
    job = submit(command, script, CONFIG=config)
    assert slurm.wait(job, 400) == ['COMPLETED'], _said(kfac, job)
    (result,) = kfac.folder.glob('runs/quick/custom/digits/*/seed0/result.json')
    assert json.loads(result.read_text())['epochs'] == 1


def test_a_cell_of_table1_twice_at_once_and_as_one_of_the_study(kfac, slurm, submit):
    kfac.environment()

    jobs = [submit((*SBATCH, '--array=4'), 'slurm/table1.sh', PROFILE='smoke', DATASET='digits')
            for _ in range(2)]
    ends = [slurm.wait(job, 400)[0] for job in jobs]
    logs = [_said(kfac, job) for job in jobs]
    assert 'COMPLETED' in ends, logs
    if 'FAILED' in ends:  # the other one was there at the same time
        assert 'is in use by process' in logs[ends.index('FAILED')]
    assert ''.join(logs).count('[1/1] adam-bs128/seed0: ') == 1
    run = kfac.folder / 'runs/table1/smoke/digits/adam-bs128/seed0'
    assert not (run / 'failure.json').exists()

    written = (run / 'result.json').stat()
    study = submit(('qsub', '-J', '6-6'), 'pbs/study.sh', PROFILE='smoke', DATASET='digits')
    assert slurm.wait(study, 400) == ['COMPLETED'], _said(kfac, study)
    assert '1 of 1 runs were finished before' in _said(kfac, study)
    assert (run / 'result.json').stat() == written
    assert (kfac.folder / 'runs/study/smoke/digits/study.md').exists()


@pytest.mark.mongo
def test_search(kfac, slurm, submit, trials):
    kfac.environment('export CHAINER_KFAC_MONGO={}\n'.format(trials.address))
    driver = submit((*SBATCH, '--time=10'), 'slurm/search-driver.sh', OPTIMIZER='momentum_sgd',
                    BATCH='64', TRIALS='1', PROFILE='smoke', DATASET='digits')
    workers = submit((*SBATCH, '--array=1-2'), 'slurm/search-worker.sh',
                     EXP_KEY='momentum_sgd-bs64-smoke-digits')
    assert slurm.wait(driver, 400) == ['COMPLETED'], _said(kfac, driver)
    assert slurm.wait(workers, 100) == ['COMPLETED'] * 2, _said(kfac, workers)
    assert [trial['state'] for trial in trials()] == [DONE]


def _said(kfac, job):
    its = re.compile(r'\.[oe]?{}(\D|$)'.format(job))
    return ''.join(path.read_text() for path in kfac.folder.iterdir() if its.search(path.name))
