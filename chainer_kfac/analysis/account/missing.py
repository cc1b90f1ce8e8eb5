"""What the account was to rest on and is not there."""
import pathlib

from chainer_kfac.analysis import runs, searches, table1_text
from chainer_kfac.analysis.account import facts, tuning
from chainer_kfac.analysis.account.facts import BATCH_SIZES, OPTIMIZERS

TUNED = (('kfac', 2048), ('momentum_sgd', 2048), ('kfac', 128))
"""Cells that are searched for values of our own."""
STUDY = (256, 1024)
"""Batch sizes of the study that the paper's table does not have."""


def body(results) -> str:
    """One line for each thing that was planned and is missing, wholly or in part."""
    found = [*_cells(results), *_searches(results), *_readings(results), *_study(results),
             *_paper(results)]
    if not found:
        return 'Nothing of what was planned is missing.'
    return '\n'.join('- ' + line for line in found)


def _cells(results):
    held = facts.cells(results)
    planned = [(optimizer, size, '', 3 if size == 2048 else 1)
               for size in BATCH_SIZES for optimizer in OPTIMIZERS]
    planned += [(*cell, 'tuned', 3) for cell in TUNED]
    for *key, seeds in planned:
        cell = held.get(tuple(key))
        there = cell.row['seeds'] if cell else []
        lacking = [seed for seed in range(seeds) if seed not in there]
        if lacking:
            yield '{}: {}'.format(
                table1_text.name(dict(zip(('optimizer', 'batch_size', 'variant'), key))),
                'no finished run' if not there else 'seed{} {}'.format(
                    's' * (len(lacking) > 1), ', '.join(map(str, lacking))))


def _searches(results):
    held = {(each.settings['optimizer'], each.settings['batch_size'])
            for each in searches.find(results)}
    for optimizer, batch_size in TUNED:
        if (optimizer, batch_size) not in held:
            yield 'a search for {} {}'.format(table1_text.NAMES[optimizer], batch_size)


def _readings(results):
    if not any(pair[0].row['batch_size'] == 512 for pair in tuning.pairs(results)):
        yield 'K-FAC 512 with the other reading of cov_ema_decay'


def _study(results):
    held = {(run.config['optimizer'], run.config['batch_size'])
            for run in runs.find(pathlib.Path(results, 'study')) if run.state == 'finished'}
    for optimizer in OPTIMIZERS:
        for batch_size in STUDY:
            if (optimizer, batch_size) not in held:
                yield 'the study at {} {}'.format(table1_text.NAMES[optimizer], batch_size)


def _paper(results):
    held = runs.find(pathlib.Path(results, 'table1/paper/cifar10'))
    if not any(run.state == 'finished' for run in held):
        yield 'the 200 epochs that we assume for the paper (profile paper): no finished run'
