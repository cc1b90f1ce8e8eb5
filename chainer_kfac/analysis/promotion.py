"""Copies of finished runs and searches for ``results/``.

A run keeps its configuration, log, result, spectra and figures, and no snapshots; one that diverged
is a result too. What is promoted is committed, so a result never changes in silence: an equal one
is left alone and a different one is refused. Everything is looked at before the first file is
copied.
"""
import os
import pathlib
import shutil

from chainer_kfac.analysis import promoted_search, runs
from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.training import disk
from chainer_kfac.training.run_directory import CONFIG, DIVERGED, LOG, RESULT, SPECTRA

_NAMES = (CONFIG, LOG, RESULT, DIVERGED, SPECTRA)
_FIGURES = ('.svg', '.pdf', '.png')
_DRAWN = (*_FIGURES, '.html')


def promote(directories, root='runs', target='results') -> list[pathlib.Path]:
    """Copy what is finished to the same place below ``target``.

    Args:
        directories (sequence of path): run directories and exported searches below ``root``.
        root (path): root of all runs.
        target (path): root of the copies.
    Returns:
        list of path: the new directories; those that were there already, and equal, are left out.
    Raises:
        RunDirectoryError: if one is neither a finished run nor a finished search below ``root``,
            or ``target`` holds a different one in its place; then nothing is copied.
        SearchError: if a search has not been exported.
    """
    target = pathlib.Path(target)
    copies = {}
    for directory in map(pathlib.Path, directories):
        place = _relative(directory, root)
        files = (promoted_search.files(directory) if promoted_search.is_search(place)
                 else _files_of_run(directory))
        copy = target / place
        if not copy.exists():
            copies[copy] = files
        elif any(_bytes(copy / name) != files.get(name) for name in {*files, *_NAMES}
                 if not name.endswith(_DRAWN)):
            raise RunDirectoryError('{} holds a different result than {}: remove it first if that '
                                    'one shall take its place'.format(copy, directory))
    for copy, files in copies.items():
        with disk.errors('copy a result', copy.parent):
            _copy(copy, files)
    return list(copies)


def _copy(folder, files):
    """Under another name first: half a copy would be a different result to the next command."""
    partial = folder.with_name('.{}.{}'.format(folder.name, os.getpid()))
    try:
        partial.mkdir(parents=True)
        for name, content in files.items():
            (partial / name).write_bytes(content)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _relative(directory, root):
    try:
        return directory.resolve().relative_to(pathlib.Path(root).resolve())
    except ValueError:
        raise RunDirectoryError('{} is not below {}: name its root with --root'.format(
            directory, root)) from None


def _files_of_run(directory):
    run = runs.read(directory)
    if run.state not in ('finished', 'stopped', 'diverged'):
        raise RunDirectoryError('{} is {}{}: only finished runs are promoted'.format(
            directory, run.state, ', ' + run.reason if run.reason else ''))
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())
            if path.name in _NAMES or path.suffix in _FIGURES}


def _bytes(path):
    return path.read_bytes() if path.exists() else None
