"""The scripts in ``jobscripts/``, submitted as they are."""
import json
import shutil

import pytest

from chainer_kfac import resources

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize('command, script', [
    (('sbatch', '--parsable', '--gres=none', '--cpus-per-task=1'), 'slurm/train.sh'),
    (('qsub',), 'pbs/train.sh'),
    (('qsub',), 'pbs/torque/train.sh'),
])
def test_train(kfac, slurm, command, script):
    shutil.copytree(resources.find('jobscripts'), kfac.folder / 'jobscripts')
    said = _submit(kfac, slurm, command, script)
    assert slurm.wait(said) == ['FAILED']
    assert 'no jobscripts/env.sh: copy env.sh.example to it and edit it' in _said(kfac, said)

    kfac.environment()
    job = _submit(kfac, slurm, command, script)
    assert slurm.wait(job, 400) == ['COMPLETED'], _said(kfac, job)
    (result,) = kfac.folder.glob('runs/quick/custom/digits/*/seed0/result.json')
    assert json.loads(result.read_text())['epochs'] == 1


def _submit(kfac, slurm, command, script):
    done = slurm.run(*command, 'jobscripts/' + script, cwd=kfac.folder,
                     CONFIG=kfac.config(epochs=1))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _said(kfac, job):
    return ''.join(path.read_text() for path in kfac.folder.glob('*[.oe]{}*'.format(job)))
