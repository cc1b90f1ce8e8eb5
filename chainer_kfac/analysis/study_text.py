"""The batch-size study as text: a table of its cells, and the curves as numbers."""
import csv
import io

from chainer_kfac.analysis import curves, table1_text
from chainer_kfac.sweeps import plan

_AXES = ('iteration', 'epoch', 'elapsed_time')
RULE = """\
A cell that is between two others has its hyperparameters on a straight line over log2(batch size):
the logarithm of each value, for momentum, beta1 and beta2 that of one minus the value. The others
are cells of Table 1{}, and their runs are those of that experiment."""
READING = """\
Accuracies: mean ± sample standard deviation over the seeds. The last epoch's training accuracy is
the mean over its batches, of augmented images and with dropout; overfitting gap: that minus the
last validation accuracy. Minutes are of the whole run, with validation, snapshots and whatever
else the machine did; s / epoch is the median epoch."""


def summary(table) -> str:
    """The table for a terminal: without the hyperparameters."""
    return _document(table, [header for header in COLUMNS if header != 'Hyperparameters'])


def to_markdown(table) -> str:
    """The table with all columns."""
    return _document(table, COLUMNS)


def _document(table, headers):
    columns = {header: COLUMNS[header] for header in headers}
    others = '' if table['hparams'] == plan.PAPER else ' or of {}'.format(table['hparams'])
    legend = '{}\n\n{}'.format(READING, RULE.format(others))
    return table1_text.document(title(table), table, columns, legend)


def title(table) -> str:
    """One line that names the cells, the profile and the data."""
    others = '' if table['hparams'] == plan.PAPER else ' ({})'.format(table['hparams'])
    return table1_text.title(table, 'Batch-size study' + others)


def to_csv(series) -> str:
    """One line an epoch of each run: accuracy against iterations, epochs and seconds.

    Args:
        series (list of Series): of ``study.collect``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['experiment', 'optimizer', 'batch_size', 'variant', 'seed', 'state',
                     *_AXES, 'train_acc', 'val_acc'])
    for each in series:
        for run in each.runs:
            for entry in run.log:
                writer.writerow(
                    [each.cell.settings['experiment'], each.cell.optimizer, each.cell.batch_size,
                     each.cell.variant, run.config['seed'], run.state,
                     *(entry[axis] for axis in _AXES),
                     entry[curves.ACCURACIES['train']], entry[curves.ACCURACIES['validation']]])
    return out.getvalue()


def _source(row):
    if row['between']:
        return 'between {} and {}'.format(*row['between'])
    return 'Table 1' if not row['variant'] else row['variant']


def _minutes(row):
    return table1_text.number(row['wall_time'] and row['wall_time']['mean'] / 60, '.1f')


def _seconds(row):
    return table1_text.number(row['median_epoch'] and row['median_epoch']['mean'], '.3g')


COLUMNS = {
    **{header: table1_text.COLUMNS[header] for header in ('Optimizer', 'Batch')},
    'Cell': ('left', _source),
    'Best val.': ('right', lambda row: table1_text.spread(row['best'])),
    'Last val.': ('right', lambda row: table1_text.spread(row['last'])),
    'Last train': ('right', lambda row: table1_text.spread(row['train'])),
    'Gap': ('right', lambda row: table1_text.spread(row['gap'])),
    'Iterations': ('right', lambda row: table1_text.number(row['iterations'])),
    'Minutes': ('right', _minutes),
    's / epoch': ('right', _seconds),
    **{header: table1_text.COLUMNS[header]
       for header in ('Seeds', 'Epochs', 'Hyperparameters', 'Note')},
}
"""Header -> (alignment, text of a row's cell)."""
