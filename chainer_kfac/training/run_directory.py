"""The folder that one run leaves behind: its path, its lock, and what may be written into it."""
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import yaml

from chainer_kfac.exceptions import ConfigError, DivergedError, RunDirectoryError
from chainer_kfac.training import disk
from chainer_kfac.training.config import RunConfig

CONFIG, LOG, RESULT, DIVERGED = 'config.yaml', 'log', 'result.json', 'diverged.json'
SPECTRA = 'spectra.npz'
SNAPSHOT = 'snapshot_iter_'
_LOCK = '.lock'


def path(config: RunConfig, root: str | os.PathLike = 'runs') -> pathlib.Path:
    """ROOT/<experiment>/<profile>/<dataset>/<optimizer>-bs<batch_size>[-<variant>]/seed<k>."""
    cell = '{}-bs{}'.format(config.optimizer, config.batch_size)
    if config.variant:
        cell += '-' + config.variant
    return pathlib.Path(root, config.experiment, config.profile, config.dataset, cell,
                        'seed{}'.format(config.seed))


class RunDirectory:
    """One run directory.

    ``result.json`` is in it if and only if the run is finished, ``diverged.json`` if it diverged;
    both are written last and in one step.

    Args:
        path (path): the folder; it need not exist.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    def check(self, config: RunConfig) -> dict[str, Any] | None:
        """The result of the finished run, or None if there is something left to compute.

        Raises:
            RunDirectoryError: if the folder belongs to another configuration, or a file in it is
                damaged.
            DivergedError: if the run has diverged before: it would diverge again.
        """
        self._check_config(config)
        diverged = self._read(DIVERGED)
        if diverged is not None:
            raise DivergedError(
                '{}; {} records that, so change a hyperparameter, or add --force to train it '
                'again'.format(diverged['reason'], self.path / DIVERGED))
        return self._read(RESULT)

    @contextlib.contextmanager
    def opened(self, config: RunConfig, force: bool = False) -> Iterator['RunDirectory']:
        """Hold the folder for one process and prepare it: make it, check it or empty it.

        Raises:
            RunDirectoryError: if another process holds it, or as `check`.
        """
        with self._held():
            with self.disk_errors('prepare the run directory'):
                self._clear(everything=force)
                self._check_config(config)
                self._write(CONFIG, yaml.safe_dump(config.dump(), sort_keys=False))
            yield self

    def discard(self) -> None:
        """Empty the folder of what belongs to its run.

        Raises:
            RunDirectoryError: if another process holds it.
        """
        if self.path.is_dir():
            with self._held(), self.disk_errors('discard the run'):
                self._clear(everything=True)

    @contextlib.contextmanager
    def _held(self):
        with self.disk_errors('create the run directory'):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with self.disk_errors('prepare the run directory'):
                self._lock(lock)
            yield
        finally:
            os.close(lock)  # which unlocks it, as the end of the process does

    def in_use(self) -> bool:
        """Whether a process holds the folder at this moment."""
        try:
            with open(self.path / _LOCK, 'rb') as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def finish(self, name: str, content: dict[str, Any]) -> None:
        """Write ``result.json`` or ``diverged.json``, and then drop the snapshots."""
        with self.disk_errors('write ' + name):
            self._write(name, json.dumps(content, indent=1, allow_nan=False) + '\n')
        for snapshot in self.snapshots():
            snapshot.unlink()

    def snapshots(self) -> list[pathlib.Path]:
        """Snapshot files, newest iteration first."""
        found = [each for each in self.path.glob(SNAPSHOT + '*')
                 if each.name[len(SNAPSHOT):].isdigit()]
        return sorted(found, key=lambda each: int(each.name[len(SNAPSHOT):]), reverse=True)

    def disk_errors(self, purpose: str) -> contextlib.AbstractContextManager[None]:
        """`disk.errors` of this folder."""
        return disk.errors(purpose, self.path)

    def _lock(self, lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 200, 0).decode(errors='replace').strip()
            raise RunDirectoryError('{} is in use by {}: wait for it or end it first'.format(
                self.path, holder or 'another process')) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, 'process {} on {}\n'.format(os.getpid(), socket.gethostname()).encode(), 0)

    def _clear(self, everything):
        """Remove what an interrupted write has left, or all that belongs to the run."""
        leftovers = [each for each in self.path.glob('tmp{}*'.format(SNAPSHOT)) if each.is_dir()]
        leftovers += [each for each in self.path.glob(LOG + '*') if each.is_dir()]
        for each in leftovers:
            shutil.rmtree(each)
        if everything:
            # the mark of a finished run goes first
            for name in (RESULT, DIVERGED, CONFIG, LOG, SPECTRA):
                (self.path / name).unlink(missing_ok=True)
            for snapshot in self.snapshots():
                snapshot.unlink()

    def _check_config(self, config):
        if not (self.path / CONFIG).exists():
            for foreign in (RESULT, DIVERGED, LOG):
                if (self.path / foreign).exists():
                    raise RunDirectoryError(
                        '{} holds {} but no {}: choose another folder, or add --force to replace it'
                        .format(self.path, foreign, CONFIG))
            return
        try:
            theirs = RunConfig.load(self.path / CONFIG)
        except ConfigError as error:
            raise RunDirectoryError('{}; the run in that folder cannot be continued: add --force '
                                    'to replace it'.format(error)) from error
        for each in dataclasses.fields(RunConfig):
            held, wanted = getattr(theirs, each.name), getattr(config, each.name)
            if held != wanted:
                raise RunDirectoryError(
                    '{} holds a run with {} {!r}, not {!r}: set another variant, or add --force to '
                    'replace that run'.format(self.path, each.name, held, wanted))

    def _read(self, name):
        try:
            content = json.loads((self.path / name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, OSError) as error:
            raise RunDirectoryError('{} cannot be read ({}): add --force to train this run again'
                                    .format(self.path / name, error)) from error
        return content

    def _write(self, name, text):
        """Write a file in one step: after a crash it is the old one or the new one, whole."""
        partial = self.path / '.{}.partial'.format(name)
        try:
            with open(partial, 'w', encoding='utf-8') as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, self.path / name)
        finally:
            partial.unlink(missing_ok=True)
