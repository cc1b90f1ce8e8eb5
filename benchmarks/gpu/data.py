"""CIFAR-10 from an archive of JPEG files, small enough to travel, into Chainer's cache.

The archive (any compression that tarfile reads) holds ``<train or test>/<class>/<name>.jpg``; its
order is the order of the images, and the classes get the labels 0 to 9 in alphabetical order.
"""
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from chainer_kfac.datasets import cifar10

SPLITS = ('train', 'test')


def run(options: dict) -> dict:
    """Make sure that CIFAR-10 is in the cache.

    Raises:
        RuntimeError: if it is neither there nor in what ``--data`` names.
    """
    path, source = cifar10.cache_path(), options['data']
    if not path.exists() and source is not None:
        unpack(archive_in(Path(source)), path)
    if not path.exists():
        raise RuntimeError('CIFAR-10 is not in {}: give --data'.format(path))
    return {'label': cifar10.load().label, 'bytes': path.stat().st_size}


def archive_in(folder: Path) -> Path:
    """The one archive in a folder, or the path itself if it is a file."""
    found = [folder] if folder.is_file() else sorted(folder.glob('*.tar*'))
    if len(found) != 1:
        raise RuntimeError('{} must be or hold one archive *.tar.xz of CIFAR-10, it holds {}'
                           .format(folder, len(found)))
    return found[0]


def unpack(archive: Path, target: Path) -> None:
    """Decode all images and write the cache file whole or not at all."""
    members = {split: [] for split in SPLITS}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                split, name, _ = member.name.rsplit('/', 2)
                members[split.rpartition('/')[2]].append((name, tar.extractfile(member).read()))
    classes = sorted({name for name, _ in members['train']})
    arrays = {}
    with ThreadPoolExecutor() as pool:
        for split, found in members.items():
            images = pool.map(_decoded, (content for _, content in found), chunksize=256)
            arrays[split + '_x'] = np.stack(list(images)).reshape(len(found), -1)
            arrays[split + '_y'] = np.array([classes.index(name) for name, _ in found], np.uint8)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + '.part')
    with open(part, 'wb') as stream:
        np.savez(stream, **arrays)
    os.replace(part, target)


def _decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert('RGB')).transpose(2, 0, 1)
