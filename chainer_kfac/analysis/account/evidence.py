"""The runs that everything else rests on."""
import pathlib

from chainer_kfac.analysis import markdown, runs, table1, table1_text
from chainer_kfac.analysis.account import facts

NOTHING = 'No run has been promoted yet.'


def body(results) -> str:
    """Protocol, spread of the seeds, and one line a cell with the accuracy of every seed."""
    cells = [cell for cell in facts.cells(results).values() if cell.runs]
    if not cells:
        return NOTHING
    table = table1.build(cells[0].runs[0].directory.parents[1])
    spread = [(cell.row['best']['std'], cell.name) for cell in cells
              if cell.row['best'] and cell.row['best']['std'] is not None]
    lines = ['**{}.**'.format(markdown.escape(table1_text.title(table))),
             *map(markdown.escape, table1_text.warnings(table)), _table(cells, results)]
    if spread:
        lines.append('The largest sample standard deviation over seeds is {:.4f} ({}).'.format(
            *max(spread)))
    else:
        lines.append('No cell has a second seed yet, so how much seeds differ is not known.')
    others = _others(results, cells)
    if others:
        lines.append('Further runs: ' + ', '.join(others) + '.')
    return '\n\n'.join(lines)


def _table(cells, results):
    held = [[cell.name, ', '.join(map(str, cell.row['seeds'])),
             ', '.join('{:.4f}'.format(value) for value in cell.best),
             ', '.join('{:.4f}'.format(run.result['last_val_acc']) for run in cell.runs),
             cell.row['epochs'], ', '.join(str(run.result['iterations']) for run in cell.runs),
             cell.row['select_on'], cell.row['dataset']] for cell in cells]
    header = ['Cell', 'Seeds', 'Best epoch, by seed', 'Last epoch, by seed', 'Epochs',
              'Iterations', 'Chosen on', 'Data']
    return markdown.table(header, held, right=(4,))


def _others(results, cells):
    """Folders of runs that are not in the table, with the number of their runs."""
    ours = cells[0].runs[0].directory.parents[1]
    count = {}
    for run in runs.find(results):
        folder = run.directory.parents[1]
        if folder != ours:
            count[folder] = count.get(folder, 0) + 1
    return ['[{0}](../{1}/{0}) ({2})'.format(
        folder.relative_to(results).as_posix(), pathlib.Path(results).name, number)
        for folder, number in sorted(count.items())]
