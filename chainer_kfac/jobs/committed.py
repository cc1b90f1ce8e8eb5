"""The scripts in ``jobscripts/``, which are submitted as they are.

``python -m chainer_kfac.jobs.committed`` writes them; what they train is chosen by variables.
"""
import pathlib

from chainer_kfac import resources
from chainer_kfac.jobs import catalogue
from chainer_kfac.jobs.description import JobDescription
from chainer_kfac.jobs.dialects import DIALECTS
from chainer_kfac.jobs.rendering import render
from chainer_kfac.sweeps import plan

_SWEEP = ('--profile', '"${PROFILE:-auto}"', '${DATASET:+--dataset "$DATASET"}',
          '--seeds', '"${SEEDS:-1}"')
_FOLDERS = {'slurm': 'slurm', 'pbs': 'openpbs', 'pbs/torque': 'torque'}
"""Folder in ``jobscripts/`` -> dialect."""


def jobs() -> dict[str, JobDescription]:
    """The descriptions by the name of their script."""
    def variables(*names):
        return {'variables': names}
    return {
        'train': catalogue.train('"${CONFIG:-experiments/quickstart.yaml}"',
                                 **variables('CONFIG')),
        'table1': catalogue.sweep('table1', _SWEEP, catalogue.cell_tasks(plan.load('table1')),
                                  **variables('PROFILE', 'DATASET', 'SEEDS')),
        'search-worker': catalogue.workers(8, ['${EXP_KEY:+--exp-key "$EXP_KEY"}'],
                                           **variables('EXP_KEY')),
        'search-driver': catalogue.driver(
            ['--optimizer', '"${OPTIMIZER:-kfac}"', '--batch', '"${BATCH:-2048}"',
             '--trials', '"${TRIALS:-100}"', '--profile', '"${PROFILE:-paper}"'],
            **variables('OPTIMIZER', 'BATCH', 'TRIALS', 'PROFILE')),
    }


def scripts() -> dict[str, str]:
    """The text of each script by its path below ``jobscripts/``."""
    return {'{}/{}.sh'.format(folder, name): render(job, DIALECTS[dialect])
            for folder, dialect in _FOLDERS.items() for name, job in jobs().items()}


def write(folder: pathlib.Path) -> None:
    """Write all of them below a folder."""
    for name, text in scripts().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
        path.chmod(0o755)


if __name__ == '__main__':
    write(resources.find('jobscripts'))
