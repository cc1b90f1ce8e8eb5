"""The cells that searches have found, as a file that ``table1 --hparams`` takes."""
import pathlib
import re
from typing import Any

import yaml

from chainer_kfac import resources
from chainer_kfac.search import results
from chainer_kfac.search.documents import Experiment
from chainer_kfac.search.errors import SearchError
from chainer_kfac.sweeps import cells

_MARK = '# Cells found by searches; `chainer-kfac search best --write` adds and replaces them.'
_HEAD = _MARK + """
# make table1 HPARAMS=tuned trains them beside the paper's own, under the variant "tuned".
format: 1
experiment: table1
model: lenet5

cells:
"""
_ABOUT_RUNS = {'dataset', 'profile', 'epochs', 'min_updates', 'train_size', 'test_size', 'seed',
               'select_on', 'lr_decay_epoch_scale'}
"""Settings of a search that a profile or a flag decides when the cell is trained."""


def default_path() -> pathlib.Path:
    """``experiments/tuned.yaml``, beside the paper's cells."""
    return resources.find('experiments') / 'tuned.yaml'


def cell(experiment: Experiment, trial: dict[str, Any]) -> dict[str, Any]:
    """The cell of a trial: fields of ``RunConfig``; raises SearchError for another objective."""
    if experiment.objective != 'train':
        raise SearchError('only a search of objective train makes a cell, {} minimises {}'.format(
            experiment.exp_key, experiment.objective))
    settings = {key: value for key, value in experiment.settings.items() if key not in _ABOUT_RUNS}
    return {**settings, **results.values(experiment, trial)}


def write(path: pathlib.Path, experiment: Experiment, trial: dict[str, Any]) -> None:
    """Put the cell of a trial into a file of cells, in the place of an older one of its kind.

    Raises:
        SearchError: if the file is there and was written by something else.
    """
    found = cell(experiment, trial)
    blocks = _blocks(path)
    blocks[found['optimizer'], found['batch_size']] = _block(experiment, trial, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_HEAD + '\n'.join(blocks[key] for key in sorted(blocks)), encoding='utf-8')
    cells.load(path)  # what cannot be read back is not worth keeping


def _blocks(path):
    """The cells of a file with the comments above them, as text by (optimizer, batch size)."""
    if not path.exists():
        return {}
    text = path.read_text(encoding='utf-8')
    if not text.startswith(_MARK):
        raise SearchError('{} was not written by a search: name another file'.format(path))
    found = {}
    for block in re.split(r'\n(?=  # trial )', text.partition('\ncells:\n')[2]):
        entry, *more = yaml.safe_load(block)
        if more:
            raise SearchError('{} holds cells that no search has written ({}): name another file'
                              .format(path, ', '.join('{} {}'.format(
                                  each.get('optimizer'), each.get('batch_size'))
                                  for each in more)))
        found[entry['optimizer'], entry['batch_size']] = block.rstrip('\n') + '\n'
    return found


def _block(experiment, trial, found):
    settings = experiment.settings
    lines = ['  # trial {} of {} in {}: loss {:.6g} after {} epochs on {} ({}, select_on {}, '
             'seed {})'.format(trial['tid'], experiment.search['trials'], experiment.exp_key,
                     trial['result']['loss'], trial['result'].get('epochs'),
                     settings.get('dataset'), settings.get('profile'),
                     settings.get('select_on'), settings.get('seed'))]
    flow = yaml.safe_dump(found, default_flow_style=True, sort_keys=False, width=90).rstrip()
    return '\n'.join([*lines, '  - ' + flow.replace('\n', '\n   ')]) + '\n'
