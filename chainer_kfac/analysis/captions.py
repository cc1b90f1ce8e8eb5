"""What a figure says of its runs: data, protocol, seeds, and every run that is not as it should be.
"""
from collections.abc import Sequence

from chainer_kfac.analysis import protocol, rows, table1_text
from chainer_kfac.sweeps import plan

_KINDS = ('Validation: {}, after each epoch. Train: mean over the batches of the epoch, augmented, '
          'with dropout.')
_RULE = ('Hyperparameters: of Table 1{}; at batch {} between those, on a straight line over '
         'log2(batch size) of log h, for momentum, beta1 and beta2 of log(1 - h).')
NOTHING = 'no epoch yet'
_IMAGES = {'test': 'the test images', 'holdout': 'held-out training images'}


def title(study, text: str) -> str:
    """The title of a figure, with the name of the cells that go before the paper's."""
    return text if study.hparams == plan.PAPER else '{} ({})'.format(text, study.hparams)


def subtitle(study, series: Sequence) -> str:
    """Data set, profile with its epochs, and seeds: 'CIFAR-10, profile short (20 epochs), seed 0'.

    Args:
        study (Study): whose runs say what the data and the profile are.
        series (sequence of Series): those of the figure, whose seeds are named.
    """
    labels = rows.common([each.row['dataset'] for each in study.series if each.row['dataset']])
    epochs = rows.common([run.config['epochs'] for each in study.series for run in each.runs])
    return '{}, profile {} ({} epochs), {}'.format(
        labels or study.table['dataset'], study.table['profile'], epochs, _seeds(series))


def _seeds(series):
    """'seed 0', 'seeds 0, 1, 2', or how many where that is not the same in each cell."""
    found = [[run.config['seed'] for run in each.runs] for each in series if each.runs]
    if not found:
        return 'no run yet'
    if all(seeds == found[0] for seeds in found):
        return 'seed{} {}'.format('s' if len(found[0]) > 1 else '', ', '.join(map(str, found[0])))
    return '{} to {} seeds'.format(min(map(len, found)), max(map(len, found)))


def notes(study, series: Sequence, seeds: str, end: str) -> list[str]:
    """Sentences for the foot of a figure.

    Args:
        study (Study): the study.
        series (sequence of Series): those of the figure.
        seeds (str): what shows several seeds: 'Bands' or 'Bars'.
        end (str): how runs that are not finished are shown.
    """
    found = [_KINDS.format(' or '.join(sorted(
        {_IMAGES[each.row['select_on']] for each in series if each.runs})) or _IMAGES['test'])]
    if any(len(each.row['seeds']) > 1 for each in series):
        found.append('{}: lowest to highest seed.'.format(seeds))
    between = sorted({each.cell.batch_size for each in series if each.cell.between})
    if between:
        found.append(_RULE.format(_own(series), ' and '.join(map(str, between))))
    if any(each.row['stand_in'] for each in series):
        found.append('Not the data of the paper.')
    departures = protocol.sentence([each.row['departures'] for each in series], unit='cell')
    if departures:
        found.append('Not the protocol of the paper: {}.'.format(departures))
    return found + missing(series) + amiss(series, end)


def _own(series):
    """Which cells stand in the place of the paper's: ' (tuned: K-FAC 2048)'; '' if none does."""
    found = {}
    for each in series:
        if each.cell.variant and not each.cell.between:
            found.setdefault(each.cell.variant, []).append(
                table1_text.name({**each.row, 'variant': ''}))
    clauses = ['{}: {}'.format(variant, ', '.join(names)) for variant, names in found.items()]
    return ' ({})'.format('; '.join(clauses)) if clauses else ''


def missing(series: Sequence) -> list[str]:
    """One sentence that names the cells without a run: 'Missing: Adam 256, 512; K-FAC 2048.'"""
    absent = {}
    for each in series:
        if not each.runs:
            name = table1_text.name({**each.row, 'batch_size': '{}'})
            absent.setdefault(name, []).append(str(each.cell.batch_size))
    clauses = [name.format(', '.join(sizes)) for name, sizes in absent.items()]
    return ['Missing: {}.'.format('; '.join(clauses))] if clauses else []


def amiss(series: Sequence, end: str) -> list[str]:
    """Sentences about runs that are not finished, and about seeds that are not averaged."""
    states = ['{} seed {} {}'.format(table1_text.name(each.row), run.config['seed'],
                                     rows.describe(run))
              for each in series for run in each.runs if run.state != 'finished']
    mixed = [table1_text.name(each.row) for each in series if each.row['status'] == 'mixed']
    found = ['Not finished ({}): {}.'.format(end, '; '.join(states))] if states else []
    if mixed:
        found.append('Not averaged, because the seeds were not trained alike: {}.'.format(
            ', '.join(mixed)))
    return found


def label(series) -> str:
    """A cell in a legend: 'Adam (tuned)', 'Adam: no run yet', 'Adam: 1 of 3 seeds unfinished'."""
    name = table1_text.NAMES.get(series.cell.optimizer, series.cell.optimizer)
    if series.cell.variant:
        name += ' ({})'.format(series.cell.variant)
    if not series.runs:
        return name + ': no run yet'
    states = [run.state for run in series.runs if run.state != 'finished']
    if not states:
        return name
    found = ' or '.join(sorted(set(states)))
    if len(states) < len(series.runs):
        found = '{} of {} seeds {}'.format(len(states), len(series.runs), found)
    return '{}: {}'.format(name, found)
