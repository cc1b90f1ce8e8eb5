"""Data sets by name."""
import os

from chainer_kfac.datasets import cifar10, digits
from chainer_kfac.datasets.image_data import ImageData
from chainer_kfac.exceptions import ConfigError

REGISTRY = {'cifar10': cifar10.load, 'digits': digits.load}


def load(name: str, train_size: int | None = None, test_size: int | None = None) -> ImageData:
    """The data set ``name``, cut to the given numbers of images.

    ``cifar10`` gives its first images and refuses to give more than it has; ``digits`` repeats
    itself where it is too small.

    Raises:
        ConfigError: if there is no such data set.
        DataError: if it is missing, damaged or too small; the message names the remedy.
    """
    if name not in REGISTRY:
        raise ConfigError('dataset {!r} is not known: choose one of {}'.format(
            name, ', '.join(sorted(REGISTRY))))
    return REGISTRY[name](train_size, test_size)


def is_cached(name: str) -> bool:
    """Whether ``load(name)`` needs no network. It does not look into the file."""
    return name != 'cifar10' or os.path.exists(cifar10.cache_path())
