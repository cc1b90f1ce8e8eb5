"""Snapshots: how they are written, and which of them can be trusted."""
import logging
import os
import zipfile
import zlib

import numpy as np
from chainer import serializers
from chainer.training import extensions
from chainer.training.extensions import snapshot_writers

from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.training import run_directory

logger = logging.getLogger(__name__)

KEPT = 2


def snapshot(condition, ranks, written=lambda: None):
    """Chainer's snapshot extension, written whole or not at all; the last two are kept.

    Args:
        condition (callable): called without arguments before each snapshot; False skips it.
        ranks (Alone or Ranks): all of them put the state together, and rank 0 writes it.
        written (callable): called without arguments after each snapshot.
    """
    first = ranks.rank == 0
    return extensions.snapshot(filename=run_directory.SNAPSHOT + '{.updater.iteration}',
                               writer=_Writer(first, written), condition=condition,
                               n_retains=KEPT if first else -1)


class _Writer(snapshot_writers.SimpleWriter):
    """Writes on the first rank alone, and tells when that is done."""

    def __init__(self, is_first, written):
        super().__init__(savefun=_save)
        self._is_first, self._written = is_first, written

    def __call__(self, filename, outdir, target):
        if self._is_first:
            super().__call__(filename, outdir, target)
        self._written()


def _save(path, arrays):
    """Write an uncompressed npz and push it to the disk; the writer then renames it."""
    with open(path, 'wb') as stream:
        np.savez(stream, **arrays)
        stream.flush()
        os.fsync(stream.fileno())


def resume(trainer, directory, ranks) -> bool:
    """Load the newest whole snapshot of a run directory into a trainer that has not run yet.

    This is Chainer's autoload with two differences. A damaged file is skipped for the one before
    it; and the state is there before any extension is initialised, where autoload comes last and
    undoes what ``ExponentialShift`` has just restored.

    Collective among ``ranks``: rank 0 reads the file and gives the others what is in it, however
    many ranks have written it.

    Returns:
        bool: whether there was a snapshot.
    Raises:
        RunDirectoryError: if none of the snapshots is whole, or one belongs to another program.
    """
    path = ranks.first(_newest, directory)
    if path is None:
        return False
    logger.info('resuming from %s', path)
    arrays = None
    if ranks.rank == 0:
        with np.load(path, allow_pickle=True) as archive:  # Chainer stores None as an object
            arrays = dict(archive)
    _load(path, ranks.bcast_arrays(arrays), trainer)
    return True


def _newest(directory):
    found = directory.snapshots()
    for path in found:
        problem = _problem(path)
        if problem is None:
            return path
        logger.warning('%s is damaged (%s): trying the one before it', path, problem)
    if found:
        raise RunDirectoryError('no snapshot in {} is whole: delete {} to start the run anew'
                                .format(directory.path, ', '.join(path.name for path in found)))
    return None


def _problem(path):
    """What is wrong with the file, or None: every member is read and its CRC checked."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        return str(error)
    return None if bad is None else 'checksum of ' + bad


def _load(path, arrays, trainer):
    try:
        serializers.NpzDeserializer(arrays).load(trainer)
    except (KeyError, ValueError, TypeError) as error:
        reason = ' '.join(str(error).split())
        raise RunDirectoryError('{} does not fit this run ({}): another version or other data have '
                                'written it; add --force to start the run anew'
                                .format(path, reason)) from error
