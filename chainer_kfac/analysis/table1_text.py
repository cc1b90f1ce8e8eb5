"""Table 1 as text: its columns, title and warnings, and the formats it is stored in."""
import csv
import io
import json

from chainer_kfac.analysis import latex, markdown, protocol
from chainer_kfac.analysis.rows import HYPERPARAMETERS

NAMES = {'momentum_sgd': 'Momentum SGD', 'adam': 'Adam', 'kfac': 'K-FAC'}

LEGEND = """\
Accuracies are on the validation images: mean ± sample standard deviation over the seeds. The
best epoch is what the paper reports. Difference: ours at the best epoch minus the paper's."""


def to_markdown(table) -> str:
    """The table with its title and, above the rows, what sets it apart from the paper's."""
    return document(title(table), table, COLUMNS, LEGEND)


def summary(table) -> str:
    """The table for a terminal: without the columns that the reader knows or seldom needs."""
    columns = {header: column for header, column in COLUMNS.items()
               if header not in ('Data', 'Hyperparameters', 'Protocol')}
    return document(title(table), table, columns, LEGEND)


def to_latex(table) -> str:
    """The table as a ``table*`` environment: the results, and below them the hyperparameters."""
    apart = ('Data', 'Protocol', 'Hyperparameters') + (
        () if any(row['note'] for row in table['rows']) else ('Note',))
    columns = {header: column for header, column in COLUMNS.items() if header not in apart}
    types = ''.join('p{2cm}' if header == 'Note' else alignment[0]
                    for header, (alignment, _) in columns.items())
    hyperparameters = {header: COLUMNS[header]
                       for header in ('Optimizer', 'Batch', 'Hyperparameters')}
    return latex.table(
        [(types, list(columns), _cells(table, columns)),
         ('lrp{11cm}', list(hyperparameters), _cells(table, hyperparameters))],
        caption=' '.join([title(table) + '.', *warnings(table), *LEGEND.split('\n')]),
        label='tab:table1')


def to_csv(table) -> str:
    """One line a row; the hyperparameters under the names of ``RunConfig``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['optimizer', 'batch_size', 'variant', 'status', 'paper_val_acc',
                     'best_val_acc', 'best_val_acc_std', 'last_val_acc', 'last_val_acc_std',
                     'difference', 'seeds', *HYPERPARAMETERS, 'epochs', 'seconds_per_epoch',
                     'dataset', 'stand_in', 'select_on', 'device', 'departures', 'note'])
    for row in table['rows']:
        best, last = row['best'] or {}, row['last'] or {}
        writer.writerow([row['optimizer'], row['batch_size'], row['variant'], row['status'],
                         row['paper'], best.get('mean'), best.get('std'), last.get('mean'),
                         last.get('std'), row['difference'], ' '.join(map(str, row['seeds'])),
                         *(row['hyperparameters'].get(field) for field in HYPERPARAMETERS),
                         row['epochs'], row['seconds_per_epoch'], row['dataset'], row['stand_in'],
                         row['select_on'], row['device'], protocol.sentence([row['departures']]),
                         row['note']])
    return out.getvalue()


def to_json(table) -> str:
    """The table as it is."""
    return json.dumps(table, indent=1, ensure_ascii=False) + '\n'


def title(table, subject='Reproduction of Table 1') -> str:
    """One line that names the profile, the data and anything that is not the paper's."""
    if table['profile'] is None:
        return subject + ': no run yet'
    labels = sorted({row['dataset'] for row in table['rows'] if row['dataset']})
    parts = ['profile {}'.format(table['profile']), ' and '.join(labels) or table['dataset']]
    if any(row['stand_in'] for row in table['rows']):
        parts.append('not the data of the paper')
    if any(row['departures'] for row in table['rows']):
        parts.append('not the protocol of the paper')
    return '{}: {}'.format(subject, ', '.join(parts))


def warnings(table) -> list[str]:
    """Sentences that a reader must not miss."""
    sentences = []
    if any(row['stand_in'] for row in table['rows']):
        sentences.append('Stand-in data: these accuracies are not on CIFAR-10 and cannot be '
                         'compared with those of the paper.')
    clauses = protocol.sentence([row['departures'] for row in table['rows']])
    if clauses:
        sentences.append('Not the protocol of the paper: {}.'.format(clauses))
    if table['missing'] and table['profile'] is not None:
        sentences.append('Missing: {}.'.format(', '.join(table['missing'])))
    return sentences


def name(row) -> str:
    """'K-FAC 2048', or 'K-FAC 2048 (tuned)' for a variant."""
    variant = ' ({})'.format(row['variant']) if row['variant'] else ''
    return '{} {}{}'.format(NAMES.get(row['optimizer'], row['optimizer']), row['batch_size'],
                            variant)


def _optimizer(row):
    return name({**row, 'batch_size': ''}).replace('  ', ' ').strip()


def _difference(row):
    return 'not comparable' if row['stand_in'] else number(row['difference'], '+.4f')


def spread(found) -> str:
    """A mean with its deviation over seeds, as ``rows.spread`` gives them."""
    if found is None:
        return '–'
    deviation = '' if found['std'] is None else ' ± {:.4f}'.format(found['std'])
    return '{:.4f}{}'.format(found['mean'], deviation)


def _protocol(row):
    if row['status'] == 'missing':
        return '–'
    return "not the paper's" if row['departures'] or row['paper'] is None else "the paper's"


def _hyperparameters(row):
    values = ', '.join('{} {:.6g}'.format(field.replace('_', ' '), value)
                       for field, value in row['hyperparameters'].items())
    # Of a cell without a run they come from the plan, which another profile would still scale.
    return 'profile paper: ' + values if row['status'] == 'missing' else values


def number(value, spec='') -> str:
    """A number, or a dash where there is none."""
    return '–' if value is None else format(value, spec)


COLUMNS = {
    'Optimizer': ('left', _optimizer),
    'Batch': ('right', lambda row: row['batch_size']),
    'Paper': ('right', lambda row: number(row['paper'], '.4f')),
    'Ours, best epoch': ('right', lambda row: spread(row['best'])),
    'Ours, last epoch': ('right', lambda row: spread(row['last'])),
    'Difference': ('right', _difference),
    'Seeds': ('right', lambda row: len(row['seeds'])),
    'Epochs': ('right', lambda row: number(row['epochs'])),
    's / epoch': ('right', lambda row: number(row['seconds_per_epoch'], '.3g')),
    'Data': ('left', lambda row: row['dataset'] or '–'),
    'Protocol': ('left', _protocol),
    'Hyperparameters': ('left', _hyperparameters),
    'Note': ('left', lambda row: row['note']),
}
"""Header -> (alignment, text of a row's cell)."""


def table(content, columns) -> str:
    """Some of the columns as a Markdown table.

    Args:
        content (dict): from ``table1.build``.
        columns (dict): part of ``COLUMNS``.
    """
    right = [i for i, (alignment, _) in enumerate(columns.values()) if alignment == 'right']
    return markdown.table(list(columns), _cells(content, columns), right)


def _cells(content, columns):
    return [[str(text(row)) for _, text in columns.values()] for row in content['rows']]


def document(heading, content, columns, legend) -> str:
    """A page of Markdown: heading, warnings, table, and how to read it."""
    lines = ['# ' + markdown.escape(heading), '']
    for warning in warnings(content):
        lines += ['**{}**'.format(markdown.escape(warning)), '']
    return '\n'.join([*lines, table(content, columns), '', legend, ''])
