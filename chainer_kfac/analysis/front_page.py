"""The part of ``README.md`` that shows the committed results."""
import pathlib

from chainer_kfac.analysis import markdown, table1, table1_text

NOTHING = ('No run has been promoted yet. `make table1` trains on your machine and prints the '
           'table.')

_HEADERS = ('Optimizer', 'Batch', 'Paper', 'Ours, best epoch', 'Difference', 'Seeds', 'Note')
_PROFILES = ('paper', 'short')


def folder(results) -> pathlib.Path | None:
    """The folder of the profile whose table stands for the results, or None if there is none.

    That is the profile with the most finished cells of the paper on CIFAR-10; of equals ``paper``.
    """
    folders = [pathlib.Path(results, table1.EXPERIMENT, profile, 'cifar10')
               for profile in _PROFILES]
    best = max(folders, key=_finished)
    return best if _finished(best) else None


def body(results) -> str:
    """The table with what a reader must know of it, and where there is more.

    Args:
        results (path): root of the committed results.
    """
    chosen = folder(results)
    if chosen is None:
        return NOTHING
    table = table1.build(chosen)
    columns = {header: table1_text.COLUMNS[header] for header in _HEADERS}
    link = '{}/{}'.format(pathlib.Path(results).name, chosen.relative_to(results).as_posix())
    lines = ['**{}.**'.format(markdown.escape(table1_text.title(table)))]
    lines += [markdown.escape(warning) for warning in table1_text.warnings(table)]
    lines += [table1_text.table(table, columns), table1_text.LEGEND,
              'Hyperparameters, last epochs and times: [{0}/table1.md]({0}/table1.md).'.format(
                  link)]
    return '\n\n'.join(lines)


def _finished(path):
    return sum(row['best'] is not None and row['paper'] is not None and not row['stand_in']
               for row in table1.build(path)['rows'])
