"""The part of ``README.md`` that shows the committed results."""
import pathlib

from chainer_kfac.analysis import figures, markdown, runs, table1, table1_text

NOTHING = ('No run has been promoted yet. `make table1` trains on your machine and prints the '
           'table.')

CAPTION = ("The paper's Figure 2 from our runs: accuracy of the three optimizers at batch 2048 "
           'against iterations')

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
              'Hyperparameters and last epochs: [{0}/table1.md]({0}/table1.md).'.format(
                  link), *figure(results, 'figure2', CAPTION)]
    return '\n\n'.join(lines)


def figure(results, name, caption, up='') -> list[str]:
    """The committed figure of that name as a line of Markdown; none if it has not been drawn.

    Args:
        results (path): root of the committed results.
        name (str): of the figure, without its ending.
        caption (str): what it shows.
        up (str): way from the page to the folder that ``results`` lies in.
    """
    chosen = folder(results)
    path = chosen and figures.folder(results, *chosen.parts[-2:]) / (name + '.png')
    if path is None or not path.exists():
        return []
    return ['![{}]({}{}/{})'.format(caption, up, pathlib.Path(results).name,
                                   path.relative_to(results).as_posix())]


def _finished(path):
    """How many cells of the paper have a finished run below a folder."""
    return len({(run.config['optimizer'], run.config['batch_size']) for run in runs.find(path)
                if run.state == 'finished' and not run.config.get('variant')})
