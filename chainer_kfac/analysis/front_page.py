"""The part of ``README.md`` that shows the committed results: written here, never by hand."""
import pathlib

from chainer_kfac.analysis import markdown, table1, table1_text

BEGIN = '<!-- results: written by "chainer-kfac promote", not by hand -->'
END = '<!-- end of results -->'
NOTHING = ('No run has been promoted yet. `make table1` trains on your machine and prints the '
           'table.')

_HEADERS = ('Optimizer', 'Batch', 'Paper', 'Ours, best epoch', 'Difference', 'Seeds', 'Note')
_PREFERENCE = ('paper', 'short')


def section(results) -> str:
    """The table of the best profile on CIFAR-10 that has runs: ``paper``, else ``short``.

    Args:
        results (path): root of the committed results.
    Returns:
        str: Markdown between ``BEGIN`` and ``END``, both included.
    """
    body = NOTHING
    for profile in _PREFERENCE:
        folder = pathlib.Path(results, table1.EXPERIMENT, profile, 'cifar10')
        table = table1.build(folder)
        if table['profile'] is not None:
            body = _show(table, '{}/{}'.format(
                pathlib.Path(results).name, folder.relative_to(results).as_posix()))
            break
    return '\n\n'.join([BEGIN, body, END])


def update(results) -> bool:
    """Write the section into the ``README.md`` beside ``results``; whether it has changed.

    A README without the two marks, or none at all, is left alone.
    """
    readme = pathlib.Path(results).resolve().parent / 'README.md'
    text = readme.read_text(encoding='utf-8') if readme.exists() else ''
    if BEGIN not in text or END not in text:
        return False
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    new = before + section(results) + after
    if new != text:
        readme.write_text(new, encoding='utf-8')
    return new != text


def _show(table, link):
    columns = {header: table1_text.COLUMNS[header] for header in _HEADERS}
    lines = ['**{}.**'.format(markdown.escape(table1_text.title(table)))]
    lines += [markdown.escape(warning) for warning in table1_text.warnings(table)]
    lines += [table1_text.table(table, columns), table1_text.LEGEND,
              'Hyperparameters, last epochs and times: [{0}/table1.md]({0}/table1.md).'.format(
                  link)]
    return '\n\n'.join(lines)
