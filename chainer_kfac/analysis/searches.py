"""Searches as they were exported: read without a database, and without what a search needs."""
import dataclasses
import json
import pathlib

from chainer_kfac.exceptions import RunDirectoryError


@dataclasses.dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        name (str): of the experiment.
        settings (dict): what all trials share: fields of ``RunConfig`` and of a profile.
        options (dict): of the search, such as ``trials`` and ``prune``.
        trials (list of dict): lines of ``trials.jsonl``.
    """

    name: str
    settings: dict
    options: dict
    trials: list[dict]

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
        return Search(about['_id'], about['settings'], about['search'], list(map(json.loads, lines)))
    except (OSError, ValueError, KeyError) as error:
        raise RunDirectoryError('the export in {} is damaged ({}): write it again with '
                                '"chainer-kfac search export"'.format(folder, error)) from error
