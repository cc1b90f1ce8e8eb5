"""What run directories hold, read without opinion: tables and figures start from here."""
import dataclasses
import json
import pathlib

import yaml

from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.sweeps import failure
from chainer_kfac.training.run_directory import CONFIG, DIVERGED, LOG, RESULT

_IN_CONFIG = ('optimizer', 'batch_size', 'seed', 'profile', 'dataset', 'select_on', 'epochs')
_IN_RESULT = ('best_val_acc', 'last_val_acc', 'epochs', 'seconds_per_epoch', 'dataset', 'device')


@dataclasses.dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        directory (pathlib.Path): the directory.
        config (dict): ``config.yaml``, or what a failed run was asked to do before it wrote one.
        log (list of dict): one entry an epoch; empty before the first.
        state (str): 'finished', 'stopped' (ended early on purpose), 'diverged', 'failed' or
            'unfinished'.
        result (dict or None): ``result.json``; ``None`` unless finished or stopped.
        reason (str): why it stopped, diverged or failed.
    """

    directory: pathlib.Path
    config: dict
    log: list
    state: str
    result: dict | None
    reason: str

    @property
    def epoch(self) -> int:
        """Number of epochs in the log."""
        return self.log[-1]['epoch'] if self.log else 0


def find(root) -> list[Run]:
    """All runs below a folder, sorted by path; an empty list when there is no such folder."""
    root = pathlib.Path(root)
    directories = {path.parent for name in (CONFIG, failure.NAME) for path in root.rglob(name)}
    return [read(directory) for directory in sorted(directories)]


def places(root, experiments, profile=None, dataset=None) -> list[tuple[str, str]]:
    """The (profile, data set) pairs for which there are runs below ``root``, sorted.

    Args:
        root (path): root of all runs.
        experiments (sequence of str): of these experiments.
        profile (str or None), dataset (str or None): only of these.
    Raises:
        RunDirectoryError: if there is none.
    """
    patterns = ['{}/{}/{}'.format(each, profile or '*', dataset or '*') for each in experiments]
    found = {path.parts[-2:] for pattern in patterns for path in pathlib.Path(root).glob(pattern)
             if find(path)}
    if not found:
        raise RunDirectoryError(
            'there are no runs in {}: train some with "chainer-kfac {}", or look for others with '
            '--root, --profile and --dataset'.format(
                ' or '.join(str(pathlib.Path(root) / pattern) for pattern in patterns),
                experiments[0]))
    return sorted(found)


def read(directory) -> Run:
    """Read one run directory.

    Raises:
        RunDirectoryError: if it is no run directory, or a file in it is damaged.
    """
    directory = pathlib.Path(directory)
    config = _load(directory / CONFIG, yaml.safe_load, _IN_CONFIG)
    failed = _load(directory / failure.NAME, json.loads, ('config', 'reason'))
    if failed is not None and _is_newer(directory / LOG, directory / failure.NAME):
        failed = None  # the run has gone on since, outside of a sweep
    if config is None and failed is None:
        raise RunDirectoryError(
            '{} is not a run directory: it holds no {}'.format(directory, CONFIG))
    result = _load(directory / RESULT, json.loads, _IN_RESULT)
    state, reason = _state(
        result, _load(directory / DIVERGED, json.loads, ('reason',)), failed)
    return Run(directory=directory, config=failed['config'] if config is None else config,
               log=_log(directory / LOG, result), state=state, result=result, reason=reason)


def _log(path, result):
    log = _load(path, json.loads)
    if log is None and result is None:
        return []
    if not isinstance(log, list) or not all(
            isinstance(entry, dict) and 'epoch' in entry for entry in log) or (
            result is not None and not log):
        raise _damaged(path, 'it lists no epochs')
    return log


def _state(result, diverged, failed):
    if result is not None:
        reason = result.get('stopped') or ''
        return ('stopped' if reason else 'finished'), reason
    if diverged is not None:
        return 'diverged', diverged['reason']
    if failed is not None:
        return 'failed', failed['reason']
    return 'unfinished', ''


def _is_newer(path, than):
    return path.exists() and path.stat().st_mtime_ns > than.stat().st_mtime_ns


def _load(path, parse, keys=()):
    """What a file holds, a mapping with these keys if there are any; None without the file."""
    try:
        content = parse(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except (ValueError, yaml.YAMLError) as error:
        raise _damaged(path, ' '.join(str(error).split())) from error
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise _damaged(path, 'it has no "{}"'.format(key))
    return content


def _damaged(path, reason):
    return RunDirectoryError('{} is damaged ({}): train this run again with --force'.format(
        path, reason))
