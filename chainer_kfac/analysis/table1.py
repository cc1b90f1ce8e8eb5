"""Table 1: the paper's accuracies beside ours, from run directories alone.

``build`` puts the runs of one profile and data set into a plain dictionary, ``write`` stores it
beside them as ``table1.json``, ``.csv``, ``.md`` and ``.tex``.  Nothing in them depends on the time
or the place of writing, so the same runs give the same bytes.
"""
import pathlib

from chainer_kfac.analysis import files, rows, runs, table1_text
from chainer_kfac.sweeps import plan

FORMAT = 1
EXPERIMENT = 'table1'
RENDERERS = {'.json': table1_text.to_json, '.csv': table1_text.to_csv,
             '.md': table1_text.to_markdown, '.tex': table1_text.to_latex}


def build(directory) -> dict:
    """The table of the runs below one folder, such as ``runs/table1/short/cifar10``.

    Every cell of the paper has a row, whether it was run or not; runs of other cells and variants
    follow.

    Args:
        directory (path): folder of the runs; it need not exist.
    Returns:
        dict: the content of ``table1.json``.
    """
    paper = {(cell.optimizer, cell.batch_size): {'val_acc': cell.val_acc, 'config': config}
             for cell, config in plan.paper()}
    found = {}
    for run in runs.find(directory):
        key = run.config['optimizer'], run.config['batch_size'], run.config.get('variant') or ''
        found.setdefault(key, []).append(run)
    keys = [(*cell, '') for cell in paper]
    keys += sorted(set(found) - set(keys), key=_order)
    table_rows = [rows.row(*key, found.get(key, []), paper.get(key[:2]), _plain(found, *key))
                  for key in keys]
    every = [run for group in found.values() for run in group]
    return {'format': FORMAT,
            'profile': rows.common([run.config['profile'] for run in every]),
            'dataset': rows.common([run.config['dataset'] for run in every]),
            'missing': [table1_text.name(row) for row in table_rows if row['status'] == 'missing'],
            'rows': table_rows}


def write(directory) -> dict:
    """Build the table and write its four files into ``directory``; returns the table."""
    table = build(directory)
    files.write(directory, {'table1' + suffix: render(table)
                            for suffix, render in RENDERERS.items()})
    return table


def folders(root, profile=None, dataset=None) -> list[pathlib.Path]:
    """The folders below ``root`` that hold runs of Table 1, sorted.

    Args:
        root (path): root of all runs.
        profile (str or None), dataset (str or None): only of these.
    Raises:
        RunDirectoryError: if there is none.
    """
    return [pathlib.Path(root, EXPERIMENT, *place)
            for place in runs.places(root, [EXPERIMENT], profile, dataset)]


def _plain(found, optimizer, batch_size, variant):
    """What a variant is compared with: the configuration of a run of the paper's cell, if any."""
    runs_of_cell = found.get((optimizer, batch_size, '')) if variant else None
    return runs_of_cell[0].config if runs_of_cell else None


def _order(key):
    optimizer, batch_size, variant = key
    known = list(table1_text.NAMES)
    rank = known.index(optimizer) if optimizer in known else len(known)
    return rank, optimizer, batch_size, variant
