"""Files that appear whole: a reader sees the old content or the new one, never a part."""
import os
import pathlib
from collections.abc import Mapping

from chainer_kfac.training import disk


def write(directory: str | os.PathLike, contents: Mapping[str, str | bytes]) -> list[pathlib.Path]:
    """Write files into a folder, which is made if need be.

    Args:
        directory (path): the folder.
        contents (dict): name -> text, stored as UTF-8, or bytes.
    Returns:
        list of path: the files.
    Raises:
        RunDirectoryError: if the disk is full, read-only or otherwise unwilling.
    """
    directory = pathlib.Path(directory)
    with disk.errors('make the folder', directory):
        directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        disk.write(directory, name, content.encode() if isinstance(content, str) else content)
    return [directory / name for name in contents]
