"""Searches as they were exported: read without a database, and without what a search needs."""
import dataclasses
import json
import pathlib

from chainer_kfac.analysis import markdown, table1_text
from chainer_kfac.datasets.cifar10 import LABELS
from chainer_kfac.exceptions import RunDirectoryError


@dataclasses.dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        name (str): of the experiment.
        settings (dict): what all trials share: fields of ``RunConfig`` and of a profile.
        options (dict): of the search, such as ``trials`` and ``prune``.
        trials (list of dict): lines of ``trials.jsonl``.
        data (str or None): digest of the images.
    """

    name: str
    settings: dict
    options: dict
    trials: list[dict]
    data: str | None = None

    @property
    def label(self) -> str:
        """The data set as tables name it."""
        return LABELS.get(self.data, self.settings['dataset'])

    @property
    def done(self) -> list[dict]:
        """Trials that ended with a loss."""
        return [trial for trial in self.trials if trial['result'].get('status') == 'ok']

    @property
    def pruned(self) -> list[dict]:
        """Those of them that a pruning rule ended."""
        return [trial for trial in self.done if trial['result'].get('pruned')]

    @property
    def best(self) -> dict | None:
        """The trial of the lowest loss; the earlier one of equals."""
        return min(self.done, key=lambda trial: (trial['result']['loss'], trial['tid']),
                   default=None)

    @property
    def epochs(self) -> int:
        """Epochs trained, over all trials that ended with a loss."""
        return sum(trial['result']['epochs'] for trial in self.done)

    @property
    def cell(self) -> str:
        """What was searched: 'K-FAC 2048'."""
        return table1_text.name({**self.settings, 'variant': ''})

    def accuracies(self) -> list[float]:
        """Best accuracy of each trial with a loss, in the order of their numbers."""
        return [1 - trial['result']['loss'] for trial in self.done]


def find(root) -> list[Search]:
    """The searches below ``root/search``, by name; an empty list where there are none.

    Raises:
        RunDirectoryError: if a file is damaged or missing.
    """
    return [read(path.parent)
            for path in sorted(pathlib.Path(root, 'search').glob('*/experiment.json'))]


def read(folder) -> Search:
    """Read one export."""
    folder = pathlib.Path(folder)
    try:
        about = json.loads((folder / 'experiment.json').read_text(encoding='utf-8'))
        lines = (folder / 'trials.jsonl').read_text(encoding='utf-8').splitlines()
        return Search(about['_id'], about['settings'], about['search'],
                      [json.loads(line) for line in lines], about.get('data'))
    except (OSError, ValueError, KeyError) as error:
        raise RunDirectoryError('the export in {} is damaged ({}): write it again with '
                                '"chainer-kfac search export"'.format(folder, error)) from error


def table(found: list[Search]) -> str:
    """One line for each search: its budget, the images that chose, and what it found."""
    lines = []
    for each in found:
        top = each.best
        lines.append([
            each.name, len(each.trials), len(each.pruned), len(each.trials) - len(each.done),
            each.settings['epochs'], each.epochs, each.label, each.settings['select_on'],
            '–' if top is None else accuracy(top), '–' if top is None else _values(top)])
    return markdown.table(
        ['Search', 'Trials', 'Pruned', 'Without a loss', 'Epochs of a whole trial',
         'Epochs trained', 'Data', 'Chosen on', 'Best accuracy there', 'Values'],
        lines, right=(1, 2, 3, 4, 5, 8))


def best_trials(search: Search, count: int) -> str:
    """The best trials of one search with their values."""
    ordered = sorted(search.done, key=lambda trial: (trial['result']['loss'], trial['tid']))
    names = list(ordered[0]['values']) if ordered else []
    lines = [[trial['tid'], accuracy(trial), trial['result']['epochs'], trial['origin'],
              *('{:.4g}'.format(trial['values'][name]) for name in names)]
             for trial in ordered[:count]]
    return markdown.table(['Trial', 'Accuracy', 'Epochs', 'Origin', *names], lines,
                          right=(0, 1, 2, *range(4, 4 + len(names))))


def accuracy(trial: dict) -> str:
    """Best accuracy of a trial that ended with a loss."""
    return '{:.4f}'.format(1 - trial['result']['loss'])


def _values(trial):
    return ', '.join('{} {:.6g}'.format(name.replace('_', ' '), value)
                     for name, value in trial['values'].items())
