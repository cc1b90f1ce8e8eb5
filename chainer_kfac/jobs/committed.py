"""The scripts in ``jobscripts/``, which are submitted as they are.

``python -m chainer_kfac.jobs.committed`` writes them. What they train is chosen by variables of the
environment, since neither hyperparameters nor a user's folders belong into them.
"""
import dataclasses
import pathlib

from chainer_kfac import resources
from chainer_kfac.jobs import catalogue
from chainer_kfac.jobs.description import JobDescription
from chainer_kfac.jobs.dialects import DIALECTS
from chainer_kfac.jobs.dialects.base import Dialect
from chainer_kfac.jobs.dialects.sites import Abci, Ito, Tsubame
from chainer_kfac.jobs.rendering import render
from chainer_kfac.jobs.requests import CELLS

_DATASET = '${DATASET:+--dataset "$DATASET"}'
_SWEEP = ('--profile', '"${PROFILE:-auto}"', _DATASET, '--seeds', '"${SEEDS:-1}"')
_SUBMIT = {'slurm': '{variable} sbatch jobscripts/{path}',
           'pbs': 'qsub -v {variable} jobscripts/{path}',
           'pbs/torque': 'qsub -v {variable} jobscripts/{path}',
           'sites/abci': 'qsub -P GROUP -v {variable} jobscripts/{path}',
           'sites/tsubame': 'qsub -g GROUP -v {variable} jobscripts/{path}',
           'sites/ito': 'pjsub -x {variable} jobscripts/{path}'}
"""Folder in ``jobscripts/`` -> how its scripts are submitted."""
_EXAMPLE = """\
An example that was not run on that machine: compare its resources with the machine's manual."""


def jobs() -> dict[str, JobDescription]:
    """The descriptions by the name of their script."""
    sweeps = {name: catalogue.sweep(name, _SWEEP, catalogue.cell_tasks(load('table1')),
                                    variables=('PROFILE', 'DATASET', 'SEEDS'))
              for name, load in CELLS.items()}
    return {
        'train': catalogue.train('"${CONFIG:-experiments/quickstart.yaml}"',
                                 variables=('CONFIG',)),
        **sweeps,
        'search-worker': catalogue.workers(8, ['${EXP_KEY:+--exp-key "$EXP_KEY" --until-done}'],
                                           variables=('EXP_KEY',)),
        'search-driver': catalogue.driver(
            ['--optimizer', '"${OPTIMIZER:-kfac}"', '--batch', '"${BATCH:-2048}"',
             '--trials', '"${TRIALS:-100}"', '--profile', '"${PROFILE:-paper}"', _DATASET],
            variables=('OPTIMIZER', 'BATCH', 'TRIALS', 'PROFILE', 'DATASET')),
    }


def _sites() -> dict[str, tuple[Dialect, dict[str, JobDescription]]]:
    """Folder -> dialect, and jobs that fill its nodes."""
    def fitted(one, all_of_them):
        return {'table1': dataclasses.replace(jobs()['table1'], **one),
                'train': dataclasses.replace(jobs()['train'], **all_of_them)}
    return {
        'sites/abci': (Abci(), fitted(
            {'queue': 'rt_HG', 'cpus_per_rank': 8},
            {'queue': 'rt_HF', 'nodes': 2, 'gpus_per_node': 8, 'cpus_per_rank': 24,
             'directives': ('-v USE_SSH=1',)})),
        'sites/tsubame': (Tsubame(), fitted(
            {'cpus_per_rank': 8}, {'nodes': 2, 'gpus_per_node': 4, 'cpus_per_rank': 48})),
        'sites/ito': (Ito(), fitted(
            {'gpus_per_node': 4, 'cpus_per_rank': 9},
            {'nodes': 2, 'gpus_per_node': 4, 'cpus_per_rank': 9})),
    }


def scripts() -> dict[str, str]:
    """The text of each script by its path below ``jobscripts/``."""
    folders = {'slurm': (DIALECTS['slurm'], jobs()), 'pbs': (DIALECTS['openpbs'], jobs()),
               'pbs/torque': (DIALECTS['torque'], jobs()), **_sites()}
    texts = {}
    for folder, (dialect, its_jobs) in folders.items():
        for name, job in its_jobs.items():
            path = '{}/{}.sh'.format(folder, name)
            about = [job.about]
            if folder.startswith('sites/'):
                about.append(_EXAMPLE)
            about.append('Reads {} and jobscripts/env.sh, as in'.format(', '.join(job.variables)))
            about.append('  ' + _SUBMIT[folder].format(
                path=path, variable=_VALUES[job.variables[0]]))
            texts[path] = render(dataclasses.replace(job, about='\n'.join(about)), dialect)
    return texts


_VALUES = {'CONFIG': 'CONFIG=experiments/quickstart.yaml', 'PROFILE': 'PROFILE=short',
           'EXP_KEY': 'EXP_KEY=kfac-bs2048-paper-cifar10', 'OPTIMIZER': 'OPTIMIZER=adam'}


def write(folder: pathlib.Path) -> None:
    """Write all of them below a folder."""
    for name, text in scripts().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
        path.chmod(0o755)


if __name__ == '__main__':
    write(resources.find('jobscripts'))
