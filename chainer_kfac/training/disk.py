"""What a disk may refuse, said in one sentence."""
import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

from chainer_kfac.exceptions import RunDirectoryError

_REASONS = {errno.ENOSPC: 'the disk is full: free space',
            errno.EDQUOT: 'the disk quota is used up: free space',
            errno.EFBIG: 'the file size limit is reached: raise it',
            errno.EROFS: 'it is read-only: choose another folder',
            errno.EACCES: 'permission denied: choose another folder',
            errno.EPERM: 'permission denied: choose another folder',
            errno.EEXIST: 'part of the path is a file: choose another folder',
            errno.ENOTDIR: 'part of the path is a file: choose another folder',
            errno.EISDIR: 'a folder has the name of a file: rename it'}


@contextlib.contextmanager
def errors(purpose: str, folder: pathlib.Path) -> Iterator[None]:
    """Turn what a disk may refuse into one sentence; what is already written stays.

    Args:
        purpose: what is done in the folder, as in 'write the table'.
        folder: an error about another place is left as it is.
    Raises:
        RunDirectoryError: naming purpose, folder, reason and remedy.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS or not _concerns(error, folder):
            raise
        raise RunDirectoryError('cannot {} in {}: {}, then run the same command again'.format(
            purpose, folder, _REASONS[error.errno])) from error


def write(folder: pathlib.Path, name: str, content: bytes) -> None:
    """Write a file that a reader sees whole: with the old content or the new, never a part.

    Raises:
        RunDirectoryError: as `errors`; the file is as it was.
    """
    partial = folder / '.{}.{}'.format(name, os.getpid())
    with errors('write ' + name, folder):
        try:
            partial.write_bytes(content)
            os.replace(partial, folder / name)
        finally:
            partial.unlink(missing_ok=True)


def _concerns(error, folder):
    """Whether the error is about this folder or one above; one of an open file names none."""
    if error.filename is None:
        return True
    named = pathlib.Path(error.filename)
    return named.is_relative_to(folder) or folder.is_relative_to(named)
