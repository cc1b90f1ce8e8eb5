"""Whole batches of images that live on a card, and their augmentation there."""
import numpy as np
import pytest
from comparison import compare

from chainer_kfac import datasets
from chainer_kfac.functions import warp

MEAN, STD = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])


def augmented(place):
    x = place.integers(256, 40, 3, 32, 32, dtype=np.uint8)
    augment = datasets.Augmentation(MEAN, STD, seed=place.seed)
    return {'x': augment(x, np.arange(40), np.arange(40) % 3)}


def standardised(place):
    x = place.integers(256, 9, 3, 32, 32, dtype=np.uint8)
    return {'x': datasets.Standardise(MEAN, STD)(x)}


def warped(place):
    """Corners far outside, upside down, and enlarged."""
    x = place.integers(256, 5, 2, 6, 6, dtype=np.uint8)
    random = np.random.default_rng(place.seed)
    return {'y': warp.sample(x, random.uniform(-2, 2, (5, 2, 3)), random.integers(-4, 4, (5, 2)), 9,
                             random.uniform(-1, 1, (5, 2)), np.array([0.5, 2.0]))}


def iterated(place):
    x, t = place.integers(256, 23, 3, 32, 32, dtype=np.uint8), place.integers(10, 23)
    iterator = datasets.BatchIterator(x, t, 7, seed=1, transform=datasets.Augmentation(MEAN, STD))
    batches = [next(iterator) for _ in range(5)]
    found = {'t {}'.format(i): t for i, (_, t) in enumerate(batches)}
    return found | {'x {}'.format(i): x for i, (x, _) in enumerate(batches)}


CASES = {'augmentation': augmented, 'standardisation': standardised, 'warp': warped,
         'iterator': iterated}


@pytest.mark.parametrize('name', CASES)
def test_equals_numpy(xp, name):
    compare(CASES[name], xp, 1e-4)
