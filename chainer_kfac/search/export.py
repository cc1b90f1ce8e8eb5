"""All trials of an experiment as files: JSON Lines with everything, CSV with one line a trial."""
import csv
import datetime
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from chainer_kfac.search import results
from chainer_kfac.search.documents import Experiment
from chainer_kfac.search.errors import SearchError

_TRIAL_KEYS = ('tid', 'state', 'origin', 'attempt', 'setbacks', 'deliveries', 'owner', 'book_time',
               'end_time', 'result', 'history', 'curve')
_STATES = ('waiting', 'running', 'done', 'failed')
FILES = ('experiment.json', 'trials.jsonl', 'trials.csv')
_TIMES = ('book_time', 'end_time', 'start', 'end')
_RESULT_COLUMNS = ('loss', 'status', 'reason', 'pruned', 'epochs', 'seconds')


def write(folder: pathlib.Path, experiment: Experiment,
          trials: Sequence[dict[str, Any]]) -> list[pathlib.Path]:
    """Write ``experiment.json``, ``trials.jsonl`` and ``trials.csv``.

    Args:
        folder (Path): made if need be; older exports in it are replaced.
        experiment (Experiment): what the trials belong to.
        trials (sequence of dict): whole documents, in order.
    Returns:
        list of Path: what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about, lines, table = (folder / name for name in FILES)
    about.write_text(json.dumps(experiment.document(), indent=1) + '\n')
    with open(lines, 'w', encoding='utf-8') as stream:
        for trial in trials:
            stream.write(json.dumps(record(experiment, trial)) + '\n')
    with open(table, 'w', encoding='utf-8', newline='') as stream:
        writer = csv.DictWriter(stream, _columns(experiment), extrasaction='ignore')
        writer.writeheader()
        for trial in trials:
            writer.writerow(row(experiment, trial))
    return [about, lines, table]


def read(folder: pathlib.Path) -> tuple[Experiment, list[dict[str, Any]]]:
    """What `write` has written: the experiment, and trials that give the same export again.

    They lack what an export leaves out, such as the signs of life of a worker.

    Raises:
        SearchError: if there is no export in the folder, or it is damaged.
    """
    about, lines, _ = (pathlib.Path(folder, name) for name in FILES)
    try:
        experiment = Experiment.from_document(json.loads(about.read_text(encoding='utf-8')))
        records = map(json.loads, lines.read_text(encoding='utf-8').splitlines())
        trials = [_trial(_with_times(each)) for each in records]
    except FileNotFoundError as error:
        raise SearchError('{} holds no export of a search ({} is missing): write one with '
                          '"chainer-kfac search export"'.format(
                              folder, pathlib.Path(error.filename).name)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError('the export in {} is damaged ({}): write it again with "chainer-kfac '
                          'search export"'.format(folder, error)) from error
    return experiment, trials


def record(experiment: Experiment, trial: dict[str, Any]) -> dict[str, Any]:
    """A trial as plain JSON; times are ISO 8601 in UTC, by the server's clock."""
    whole = {'exp_key': experiment.exp_key, 'values': results.values(experiment, trial),
             **{key: trial.get(key) for key in _TRIAL_KEYS}}
    return _plain(whole)


def row(experiment: Experiment, trial: dict[str, Any]) -> dict[str, Any]:
    """A trial as one line of the table."""
    plain = record(experiment, trial)
    state = 'failed' if results.is_failed(trial) else _STATES[trial['state']]
    return {**plain, **plain['values'],
            **{key: plain['result'].get(key) for key in _RESULT_COLUMNS}, 'state': state}


def _columns(experiment):
    return ['tid', 'state', 'origin', *_RESULT_COLUMNS, *experiment.space.names, 'attempt',
            'setbacks', 'owner', 'book_time', 'end_time']


def _trial(plain):
    values = plain.pop('values')
    return {**plain, 'misc': {'tid': plain['tid'],
                              'vals': {name: [value] for name, value in values.items()}}}


def _with_times(value):
    """The inverse of `_plain`, by the names of what is a time."""
    if isinstance(value, list):
        return [_with_times(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _time(each) if key in _TIMES and each else _with_times(each)
            for key, each in value.items()}


def _time(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=None)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec='milliseconds') + 'Z'
    return value
