"""Downloads into Chainer's cache: checked, shown, and never half there."""
import hashlib
import http.client
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import filelock
import tqdm

from chainer_kfac.exceptions import DataError

ATTEMPTS = 3
PAUSE = 2.0  # seconds before the second attempt, twice as many before the third
TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_log = logging.getLogger(__name__)


class _IncompleteError(OSError):
    """What arrived is not the whole file or not the right one."""


def cache_root() -> str:
    """Folder of all that Chainer's data sets keep on disk."""
    from chainer.dataset import get_dataset_root  # Chainer takes seconds to import

    return get_dataset_root()


def cached(url: str, md5: str) -> Path:
    """The file behind ``url``, from Chainer's download cache or fetched into it.

    The place is the one that ``chainer.dataset.cached_download(url)`` uses, so Chainer finds it
    too. A cached file with another checksum is replaced. A download goes to a file of another name,
    which is renamed when its checksum is right, and is tried again when it breaks off. Processes
    that want the same file wait for the one that fetches it.

    Args:
        md5: the expected checksum, hexadecimal.
    Raises:
        DataError: naming the URL and the last failure.
    """
    target = Path(cache_root(), '_dl_cache', hashlib.md5(url.encode('utf-8')).hexdigest())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(target) + '.lock'):
            if not target.exists() or checksum(target) != md5:
                _fetch_with_retries(url, md5, target)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', None) or error
        raise DataError('cannot download {} into {} ({})'.format(
            url, target.parent, reason)) from error
    return target


def checksum(path: Path) -> str:
    """md5 of a file, hexadecimal."""
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'md5').hexdigest()


def _fetch_with_retries(url: str, md5: str, target: Path) -> None:
    part = target.with_name(target.name + '.part')  # one name, so that a killed download leaves one
    for attempt in range(ATTEMPTS):
        try:
            _fetch(url, part)
            found = checksum(part)
            if found != md5:
                raise _IncompleteError('its md5 is {}, expected {}'.format(found, md5))
            os.replace(part, target)
            return
        except (OSError, http.client.HTTPException) as error:
            part.unlink(missing_ok=True)
            if attempt + 1 == ATTEMPTS or not _worth_retrying(error):
                raise
            _log.warning('download of %s broke off (%s), trying again', url, error)
            time.sleep(PAUSE * 2 ** attempt)


def _worth_retrying(error: Exception) -> bool:
    """An interruption is; a refusal, an unknown host or a full disk stays what it is."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500
    passing = (_IncompleteError, ConnectionError, TimeoutError, http.client.HTTPException)
    return isinstance(error, passing)


def _fetch(url: str, part: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, open(part, 'wb') as out:
        total = int(response.headers.get('Content-Length') or 0)
        with _progress(url, total) as show:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                show.update(len(chunk))
        if total and out.tell() != total:
            raise _IncompleteError('{} of {} bytes arrived'.format(out.tell(), total))


def _progress(url: str, total: int):
    name = url.rsplit('/', 1)[-1]
    if sys.stderr.isatty():
        return tqdm.tqdm(total=total or None, unit='B', unit_scale=True, desc=name)
    return _Lines(name, total)


class _Lines:
    """Progress where there is no terminal: a line at the start and at every tenth."""

    def __init__(self, name: str, total: int):
        self._name, self._total = name, total
        self._done = self._tenths = 0

    def __enter__(self):
        self._say('downloading, {:.1f} MB'.format(self._total / 1e6))
        return self

    def __exit__(self, *exc):
        pass

    def update(self, n: int) -> None:
        self._done += n
        tenths = 10 * self._done // self._total if self._total else 0
        if tenths > self._tenths:
            self._tenths = tenths
            self._say('{} %'.format(10 * tenths))

    def _say(self, what: str) -> None:
        sys.stderr.write('{}: {}\n'.format(self._name, what))
        sys.stderr.flush()
