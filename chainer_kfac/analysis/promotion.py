"""Copies of finished runs for ``results/``: configuration, log, result and figures, no snapshots.

What is promoted is committed, so a result never changes in silence: an equal one is left alone and
a different one is refused.  All runs are looked at before the first file is copied.
"""
import pathlib
import shutil

from chainer_kfac.analysis import runs, table1
from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.training.run_directory import CONFIG, LOG, RESULT

_NAMES = (CONFIG, LOG, RESULT)
_FIGURES = ('.svg', '.pdf', '.png')


def promote(directories, root='runs', target='results') -> list[pathlib.Path]:
    """Copy finished runs to the same place below ``target`` and bring its tables up to date.

    Args:
        directories (sequence of path): run directories below ``root``.
        root (path): root of all runs.
        target (path): root of the copies.
    Returns:
        list of path: the new directories; those that were there already, and equal, are left out.
    Raises:
        RunDirectoryError: if one is not a finished run below ``root``, or ``target`` holds a
            different run in its place; then nothing is copied.
    """
    target = pathlib.Path(target)
    copies = {}
    for directory in map(pathlib.Path, directories):
        copy = target / _relative(directory, root)
        _check_finished(directory)
        if not copy.exists():
            copies[copy] = directory
        elif any(_bytes(copy / name) != _bytes(directory / name) for name in _NAMES):
            raise RunDirectoryError('{} holds a different run than {}: remove it first if that one '
                                    'shall take its place'.format(copy, directory))
    for copy, directory in copies.items():
        copy.mkdir(parents=True)
        for path in sorted(directory.iterdir()):
            if path.name in _NAMES or path.suffix in _FIGURES:
                shutil.copyfile(path, copy / path.name)
    for folder in sorted({copy.parents[1] for copy in copies}):
        if folder.parts[len(target.parts)] == table1.EXPERIMENT:
            table1.write(folder)
    return list(copies)


def _relative(directory, root):
    try:
        return directory.resolve().relative_to(pathlib.Path(root).resolve())
    except ValueError:
        raise RunDirectoryError('{} is not below {}: name its root with --root'.format(
            directory, root)) from None


def _check_finished(directory):
    run = runs.read(directory)
    if run.state not in ('finished', 'stopped'):
        raise RunDirectoryError('{} is {}{}: only finished runs are promoted'.format(
            directory, run.state, ', ' + run.reason if run.reason else ''))


def _bytes(path):
    return path.read_bytes() if path.exists() else None
