"""CIFAR-10 in Chainer's cache file, validated before it is used and labelled by its pixels."""
import hashlib
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import filelock
import numpy as np

from chainer_kfac.datasets import download, image_data
from chainer_kfac.exceptions import DataError

URL = 'https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz'
MD5 = 'c58f30108f718f92721af3b95e74349a'
TRAIN, TEST, CLASSES, PIXELS = 50000, 10000, 10, 3 * 32 * 32
# Known contents by the sha256 of their arrays, in the order of ARRAYS.
LABELS = {
    '7600cdd455d180a8154e191492be494219d6064bf0dd7d8139dce743bff2ec62': 'CIFAR-10 (JPEG q75)',
}
ARRAYS = {'train_x': (TRAIN, PIXELS), 'train_y': (TRAIN,),
          'test_x': (TEST, PIXELS), 'test_y': (TEST,)}


def cache_path() -> Path:
    """Where ``chainer.datasets.get_cifar10`` keeps the arrays."""
    return Path(download.cache_root(), 'pfnet', 'chainer', 'cifar', 'cifar-10.npz')


def load(train_size: int | None = None, test_size: int | None = None) -> image_data.ImageData:
    """CIFAR-10 from Chainer's cache, downloaded when it is not there.

    With a size, the first so many images: the sources are in random order.

    Raises:
        DataError: if the cache file is damaged or is not CIFAR-10, if it is missing and cannot be
            downloaded, or if more images are asked for than there are.
    """
    train_size = _checked_size(train_size, TRAIN, 'train_size')
    test_size = _checked_size(test_size, TEST, 'test_size')
    path = cache_path()
    if not os.path.exists(path):  # unlike Path.exists, not stopped by a closed folder
        create(path)
    arrays = read(path)
    digest = hashlib.sha256()
    for name in ARRAYS:
        digest.update(arrays[name])
    digest = digest.hexdigest()
    return image_data.with_statistics(
        name='cifar10', digest=digest,
        label=LABELS.get(digest, 'CIFAR-10 (sha256 {})'.format(digest[:8])),
        train_x=arrays['train_x'].reshape(-1, 3, 32, 32)[:train_size],
        train_t=arrays['train_y'][:train_size].astype(np.int32),
        train_id=np.arange(train_size),
        test_x=arrays['test_x'].reshape(-1, 3, 32, 32)[:test_size],
        test_t=arrays['test_y'][:test_size].astype(np.int32))


def _checked_size(wanted: int | None, available: int, field: str) -> int:
    if wanted is not None and not 1 <= wanted <= available:
        raise DataError('{} must be between 1 and the {} images that CIFAR-10 has, got {!r}'.format(
            field, available, wanted))
    return available if wanted is None else wanted


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a cache file, checked: checksum of the archive, shapes, dtypes, label counts.

    Raises:
        DataError: naming the file, what is wrong with it, and the remedy.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name: _read_member(archive, name) for name in ARRAYS}
    except PermissionError as error:
        raise DataError('{} may not be read: give its reader permission (chmod +r) or set '
                        'CHAINER_DATASET_ROOT to another place'.format(path)) from error
    except Exception as error:  # a flipped byte makes zipfile and NumPy raise almost anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise _damaged(path, 'truncated or corrupt: ' + reason) from error
    for name, shape in ARRAYS.items():
        got = arrays[name]
        if got.shape != shape or got.dtype != np.uint8:
            raise _damaged(path, '{} is {} {} instead of uint8 {}'.format(
                name, got.dtype, got.shape, shape))
    for name, total in (('train_y', TRAIN), ('test_y', TEST)):
        counts = np.bincount(arrays[name], minlength=CLASSES)
        if not np.array_equal(counts, np.full(CLASSES, total // CLASSES)):
            raise _damaged(path, '{} does not hold each label from 0 to {} {} times'.format(
                name, CLASSES - 1, total // CLASSES))
    return arrays


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name + '.npy') as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # zipfile compares the CRC where a read meets the end
            raise ValueError('{} is followed by more data'.format(name))
    return array


def _damaged(path: Path, reason: str) -> DataError:
    return DataError('{} is not a whole CIFAR-10 cache file ({}): delete it, and it will be made '
                     'again'.format(path, reason))


def create(path: Path) -> None:
    """Download the archive, check it, and write the cache file in one step of renaming.

    Chainer's own creator moves the file out of the temporary directory, often from another file
    system, and a kill meanwhile leaves half a file in place; this one writes beside the target.

    Raises:
        DataError: if the archive cannot be had, or the cache cannot be written.
    """
    try:
        archive = download.cached(URL, MD5)
    except DataError as error:
        raise DataError('{}: mend that, put cifar-10.npz as chainer.datasets.get_cifar10 writes it '
                        'at {}, or use dataset=digits'.format(error, path)) from error
    part = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(path) + '.lock'):
            if not path.exists():  # another process may have made it while this one waited
                with open(part, 'wb') as f:
                    np.savez(f, **unpack(archive))
                os.replace(part, path)
    except OSError as error:
        raise DataError('cannot write {} ({}): mend that or set CHAINER_DATASET_ROOT to another '
                        'place'.format(path, error)) from error


def unpack(archive: Path) -> dict[str, np.ndarray]:
    """The arrays of the official archive, whose checksum the caller has verified."""
    with tarfile.open(archive, 'r:gz') as tar:
        def batch(name):
            member = tar.extractfile('cifar-10-batches-py/' + name)
            return pickle.load(member, encoding='latin-1')

        train = [batch('data_batch_{}'.format(i + 1)) for i in range(5)]
        test = batch('test_batch')
    return {'train_x': np.concatenate([b['data'] for b in train]),
            'train_y': np.concatenate([b['labels'] for b in train]).astype(np.uint8),
            'test_x': np.asarray(test['data']), 'test_y': np.asarray(test['labels'], np.uint8)}
