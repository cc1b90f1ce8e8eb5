"""A labelled set of images in memory, its statistics, and a part of it held out."""
import dataclasses

import numpy as np

from chainer_kfac.datasets import counter
from chainer_kfac.exceptions import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Training and test images with their labels.

    Attributes:
        name: what ``datasets.load`` was asked for.
        label: what tables show; it says which pixels these are, by digest and not by file name.
        digest: sha256 (hexadecimal) of all pixels and labels of the source, before any cut to size.
        train_x, test_x (uint8, (N, 3, H, W)); train_t, test_t (int32, (N,)).
        train_id (int64, (N,)): which source image each one is; equal where an image is repeated.
        holdout_x, holdout_t: training images kept back by `split_holdout`, else None.
        mean, std (float64, (3,)): of each channel over the training images, on the scale 0-255.
    """

    name: str
    label: str
    digest: str
    train_x: np.ndarray
    train_t: np.ndarray
    test_x: np.ndarray
    test_t: np.ndarray
    train_id: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    holdout_x: np.ndarray | None = None
    holdout_t: np.ndarray | None = None


def channel_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, from exact integer sums.

    Args:
        x (uint8, (N, C, H, W)).
    Returns:
        (mean, std): float64, (C,). The deviation is that of the population, as numpy.std's.
    """
    histogram = np.zeros((x.shape[1], 256), np.int64)
    for part in np.array_split(x, -(-len(x) // 1000)):  # bincount widens its input to 64 bits
        for channel in range(x.shape[1]):
            histogram[channel] += np.bincount(part[:, channel].ravel(), minlength=256)
    value = np.arange(256)
    count = histogram[0].sum()
    mean = histogram @ value / count
    return mean, np.sqrt(histogram @ value ** 2 / count - mean ** 2)


def with_statistics(**fields) -> ImageData:
    """An `ImageData` whose mean and std are those of its own training images."""
    mean, std = channel_statistics(fields['train_x'])
    return ImageData(mean=mean, std=std, **fields)


def split_holdout(data: ImageData, n: int = 5000, seed: int = 0) -> ImageData:
    """Keep ``n`` training images back, to choose by without touching the test images.

    The classes appear in the held-out part as evenly as they can; which images are taken depends on
    ``seed`` alone. All repetitions of a held-out image leave the training set, and mean and std
    become those of what is left: nothing of the held-out images is known to the training.

    Args:
        data: its ``train_*`` are cut, its ``test_*`` stay.
        n: how many different images to hold out.
    Returns:
        ImageData: new, with ``holdout_x`` and ``holdout_t`` set.
    Raises:
        DataError: if fewer than one training image would be left.
    """
    ids, first = np.unique(data.train_id, return_index=True)
    if not 1 <= n < len(ids):
        raise DataError('cannot hold out {!r} of the {} different training images of {}: choose '
                        'between 1 and {}'.format(n, len(ids), data.label, len(ids) - 1))
    labels = data.train_t[first]
    shuffled = counter.permutation(len(ids), seed, counter.HOLDOUT)
    turn = np.empty(len(ids), np.int64)  # an image's place among those of its class
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        turn[members] = np.arange(len(members))
    held = np.sort(shuffled[np.argsort(turn[shuffled], kind='stable')[:n]])
    rest = ~np.isin(data.train_id, ids[held])
    kept = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)
            if f.name not in ('mean', 'std')}
    kept.update(train_x=data.train_x[rest], train_t=data.train_t[rest],
                train_id=data.train_id[rest],
                holdout_x=data.train_x[first[held]], holdout_t=labels[held])
    return with_statistics(**kept)
