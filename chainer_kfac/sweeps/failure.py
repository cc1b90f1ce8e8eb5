"""``failure.json``: why the last attempt at a run ended without a result.

It lies in the run directory from the end of a failed attempt to the start of the next, so that a
table can say what became of the cell.
"""
import contextlib
import json
import pathlib

from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.training import disk
from chainer_kfac.training.run_directory import RESULT, RunDirectory

NAME = 'failure.json'


def write(directory, config, exit_code, reason):
    """Note a failed attempt, unless another process trains that run or has finished it.

    A disk that has no room for the note, which may be what the attempt failed of, gets none.

    Args:
        directory (path): the run directory.
        config (RunConfig): what was asked for; the run may have failed before it wrote its own.
        exit_code (int): of the process; minus the signal's number if a signal ended it.
        reason (str): one sentence.
    """
    path = pathlib.Path(directory) / NAME
    if path.with_name(RESULT).exists() or RunDirectory(directory).in_use():
        return
    text = json.dumps({'format': 1, 'exit_code': exit_code, 'reason': reason,
                       'config': config.dump()}, indent=1) + '\n'
    with contextlib.suppress(RunDirectoryError):
        disk.write(path.parent, NAME, text.encode())


def clear(directory):
    """Forget the last attempt."""
    (pathlib.Path(directory) / NAME).unlink(missing_ok=True)
