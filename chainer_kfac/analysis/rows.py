"""One row of Table 1: the seeds of one cell put together."""
import statistics

from chainer_kfac.analysis import protocol
from chainer_kfac.sweeps.estimate import CIFAR10_SIZE
from chainer_kfac.training.config import length

HYPERPARAMETERS = ('weight_decay', 'lr', 'lr_decay', 'lr_decay_epoch', 'momentum', 'beta1', 'beta2',
                   'eta', 'eps', 'cov_ema_decay', 'damping')
"""The columns of the paper's table, under the names of ``RunConfig``."""
FEW = 2
"""Fields up to which a note says the values of those that are not the paper's."""


def row(optimizer, batch_size, variant, runs, cell=None, plain=None) -> dict:
    """The statistics of one cell over its finished seeds, and what is amiss with the others.

    Accuracies are means over finished runs, with the sample standard deviation (n - 1) from two
    seeds on; seeds that were not trained alike are never averaged.  With ``select_on: holdout`` the
    held-out images choose the epoch and ``best`` is the accuracy of that epoch's weights on the
    test images, which is what can stand beside the paper's number.

    Args:
        optimizer (str), batch_size (int), variant (str): what names the cell.
        runs (list of Run): its seeds, in any state.
        cell (dict or None): ``val_acc`` and ``config`` of the paper's cell; ``None`` if the paper
            has no such cell.
        plain (dict or None): the configuration of a run of the paper's cell under the same profile;
            the note says in which fields that of ``runs`` is another.
    Returns:
        dict: plain values, as in ``table1.json`` (docs/run-directory.md lists the keys).
    """
    runs = sorted(runs, key=lambda run: run.config['seed'])
    inconsistent = conflicts(runs)
    finished = [] if inconsistent else [run for run in runs if run.state == 'finished']
    config = runs[0].config if runs else cell['config']
    reference = cell['config'] if cell else None
    paper = cell['val_acc'] if cell else None
    best = spread([_compared(run) for run in finished])
    stand_in = bool(runs) and reference is not None and config['dataset'] != reference['dataset']
    return {
        'optimizer': optimizer,
        'batch_size': batch_size,
        'variant': variant,
        'status': 'mixed' if inconsistent else _status(runs),
        'paper': paper,
        'best': best,
        'last': spread([run.result['last_val_acc'] for run in finished]),
        'difference': None if stand_in or None in (best, paper) else best['mean'] - paper,
        'seeds': [run.config['seed'] for run in finished],
        'hyperparameters': {name: config[name] for name in HYPERPARAMETERS
                            if config.get(name) is not None},
        'epochs': common([run.result['epochs'] for run in finished]),
        'seconds_per_epoch': _mean([run.result['seconds_per_epoch'] for run in finished]),
        'dataset': common([run.result['dataset']['label'] for run in finished]),
        'stand_in': stand_in,
        'device': common([run.result['device'] for run in finished]),
        'select_on': config['select_on'],
        'departures': protocol.departures(config, reference) if runs and reference else {},
        'note': '; '.join(_notes(runs, cell, inconsistent, plain)),
    }


def conflicts(runs) -> list[str]:
    """Names of what differs between seeds that should have been trained alike."""
    trained = [run for run in runs if run.result is not None]
    fields = {field: {str(run.config.get(field)) for run in trained}
              for run in trained for field in run.config if field not in protocol.NEUTRAL}
    fields['data'] = {run.result['dataset']['digest'] for run in trained}
    return sorted(field for field, values in fields.items() if len(values) > 1)


def _compared(run):
    return run.result['test_acc' if run.config['select_on'] == 'holdout' else 'best_val_acc']


def spread(values) -> dict | None:
    """Mean, sample standard deviation (``None`` for one value) and the values; None for none."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {'mean': statistics.fmean(values), 'std': deviation, 'values': values}


def _mean(values):
    return statistics.fmean(values) if values else None


def common(values):
    distinct = sorted(set(values))
    return distinct[0] if len(distinct) == 1 else ', '.join(map(str, distinct)) or None


def _status(runs):
    states = {run.state for run in runs}
    if not states:
        return 'missing'
    if len(states) == 1:
        return states.pop()
    return 'partial' if 'finished' in states else sorted(states)[0]


def _notes(runs, cell, inconsistent, plain):
    if not runs:
        yield 'missing: no run'
    if inconsistent:
        yield 'not averaged: seeds differ in {}'.format(', '.join(inconsistent))
    if cell is None:
        yield 'not a cell of the paper'
    if runs and plain:
        others = protocol.departures(runs[0].config, plain)
        said = protocol.sentence([others]) if len(others) <= FEW else ', '.join(others)
        yield "the paper's values{}".format(' but for ' + said if others else '')
    for run in runs:
        if run.state != 'finished':
            yield 'seed {} {}'.format(run.config['seed'], describe(run))


def describe(run) -> str:
    """What became of a run that is not finished: 'unfinished: 3 of 20 epochs'."""
    if run.state == 'unfinished':
        total = length({'min_updates': 0, **run.config},
                       run.config.get('train_size') or CIFAR10_SIZE)
        return 'unfinished: {} of {} epochs'.format(run.epoch, total)
    if run.state == 'stopped':
        return 'stopped after epoch {}: {}'.format(run.epoch, run.reason)
    return '{}: {}'.format(run.state, run.reason)
