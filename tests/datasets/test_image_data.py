"""Channel statistics, and the part of the training images held out."""
import dataclasses

import numpy as np
import pytest

from chainer_kfac import datasets
from chainer_kfac.datasets import image_data
from chainer_kfac.exceptions import DataError


def some(n=500, classes=10, **changes):
    rng = np.random.RandomState(0)
    fields = {'name': 'x', 'label': 'X', 'digest': '0', 'train_id': np.arange(n),
              'train_x': rng.randint(0, 256, (n, 3, 4, 4)).astype(np.uint8),
              'train_t': rng.permutation(np.arange(n) % classes).astype(np.int32),
              'test_x': rng.randint(0, 256, (7, 3, 4, 4)).astype(np.uint8),
              'test_t': np.zeros(7, np.int32)}
    return image_data.with_statistics(**{**fields, **changes})


@pytest.mark.parametrize('n', [1, 999, 2500])
def test_statistics(n):
    x = np.random.RandomState(1).randint(0, 200, (n, 3, 5, 4)).astype(np.uint8)
    mean, std = image_data.channel_statistics(x)
    assert mean.shape == std.shape == (3,)
    assert mean.dtype == std.dtype == np.float64
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(std, x.std(axis=(0, 2, 3)))


def test_holdout_parts_the_training_images():
    data = some()
    split = datasets.split_holdout(data, 100)
    assert len(split.holdout_x) == len(split.holdout_t) == 100
    assert len(split.train_x) == 400
    assert split.holdout_x.dtype == np.uint8
    assert split.holdout_t.dtype == np.int32

    def pairs(x, t):
        return {(image.tobytes(), label) for image, label in zip(x, t.tolist(), strict=True)}

    kept, held = pairs(split.train_x, split.train_t), pairs(split.holdout_x, split.holdout_t)
    assert kept | held == pairs(data.train_x, data.train_t)
    assert not kept & held
    assert len(held) == 100
    np.testing.assert_array_equal(np.bincount(split.holdout_t), np.full(10, 10))
    np.testing.assert_array_equal(split.test_x, data.test_x)
    assert split.digest == data.digest
    assert split.label == data.label
    np.testing.assert_allclose(split.mean, split.train_x.mean(axis=(0, 2, 3)))
    assert data.holdout_x is None
    assert len(data.train_x) == 500


def test_holdout_depends_on_the_seed_alone():
    a, b, c = (datasets.split_holdout(some(), 100, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.holdout_x, b.holdout_x)
    assert not np.array_equal(a.holdout_x, c.holdout_x)


@pytest.mark.parametrize('n', [1, 7, 33, 499])
def test_classes_as_even_as_they_can_be(n):
    counts = np.bincount(datasets.split_holdout(some(), n).holdout_t, minlength=10)
    assert counts.sum() == n
    assert np.ptp(counts) <= 1


def test_a_repeated_image_is_not_on_both_sides():
    data = datasets.load('digits', train_size=4096)
    split = datasets.split_holdout(data, 300)
    held = {x.tobytes() for x in split.holdout_x}
    assert len(held) == len(split.holdout_x) == 300
    assert not held & {x.tobytes() for x in split.train_x}
    assert len(split.train_x) == np.sum([x.tobytes() not in held for x in data.train_x])


@pytest.mark.parametrize('n', [0, -1, 500, 501])
def test_too_many_or_none(n):
    with pytest.raises(DataError, match='between 1 and 499'):
        datasets.split_holdout(some(), n)


def test_image_data_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        some().label = 'CIFAR-10'
