"""A finished search as it is kept in ``results/``: every trial, and no name of a machine.

A worker is called after its host and process; in a copy it is ``worker-1``, ``worker-2``, in the
order of their first trials. The page is drawn from what is copied, so that it can be drawn again.
"""
import pathlib
import tempfile

from chainer_kfac.exceptions import RunDirectoryError

FOLDER = 'search'
PAGE = 'report.html'
_NAMES = ('owner', 'worker')
"""Keys whose value names a process on a machine."""


def is_search(place: pathlib.PurePath) -> bool:
    """Whether a path below a root of runs is that of a search: ``search/<experiment>``."""
    return len(place.parts) == 2 and place.parts[0] == FOLDER


def files(directory: pathlib.Path) -> dict[str, bytes]:
    """The files of the copy, by name.

    Args:
        directory (Path): ROOT/search/<experiment> with the files of ``search export``.
    Raises:
        SearchError: if there is no export in it.
        RunDirectoryError: if trials are missing or have not ended.
    """
    from chainer_kfac.analysis import search_report  # needs the extra that a search needs
    from chainer_kfac.search import export, results
    from chainer_kfac.search.found import Found

    experiment, trials = export.read(directory)
    ended, wanted = results.counts(trials).ended, experiment.search['trials']
    if ended < max(wanted, len(trials)):
        raise RunDirectoryError(
            '{} holds {} of {} trials that have ended: only finished searches are promoted, so '
            'let it end and export it again'.format(directory, ended, max(wanted, len(trials))))
    trials = _without_hosts(trials)
    with tempfile.TemporaryDirectory() as name:
        written = export.write(pathlib.Path(name), experiment, trials)
        page = search_report.write(pathlib.Path(name, PAGE), Found(experiment, trials, []))
        return {path.name: path.read_bytes() for path in [*written, page]}


def _without_hosts(trials):
    names = {}

    def name(owner):
        return owner and names.setdefault(owner, 'worker-{}'.format(len(names) + 1))

    def renamed(entry):
        return {key: name(value) if key in _NAMES else value for key, value in entry.items()}
    return [{**renamed(trial), 'result': renamed(trial['result']),
             'history': [renamed(past) for past in trial.get('history') or ()]}
            for trial in trials]
