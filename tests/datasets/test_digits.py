"""The stand-in: real digits, disjoint sets, repeated where asked."""
import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from chainer_kfac import datasets
from chainer_kfac.exceptions import DataError


def rows(x):
    return {image.tobytes() for image in x}


def test_all_of_it():
    data = datasets.load('digits')
    assert data.train_x.shape == (1437, 3, 32, 32)
    assert data.test_x.shape == (360, 3, 32, 32)
    assert data.train_x.dtype == data.test_x.dtype == np.uint8
    assert data.train_t.dtype == data.test_t.dtype == np.int32
    assert data.label == 'digits (stand-in)'
    assert len(data.digest) == 64
    assert data.train_x.max() == 255
    assert data.train_x.min() == 0
    assert set(data.train_t) == set(data.test_t) == set(range(10))
    assert len(rows(data.train_x)) == 1437
    assert not rows(data.train_x) & rows(data.test_x)
    np.testing.assert_allclose(data.mean, data.train_x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(data.std, data.train_x.std(axis=(0, 2, 3)))


def test_the_images_are_the_digits():
    source = sklearn_datasets.load_digits()
    data = datasets.load('digits')
    small = data.test_x[:, 0, ::4, ::4]
    np.testing.assert_array_equal(small, np.round(source.images[::5] * 255 / 16))
    np.testing.assert_array_equal(data.test_t, source.target[::5])
    for plane in range(3):
        np.testing.assert_array_equal(data.test_x[:, plane],
                                      small.repeat(4, axis=1).repeat(4, axis=2))


def test_repeated_to_the_size_of_the_profile():
    data = datasets.load('digits', train_size=4096, test_size=1000)
    once = datasets.load('digits')
    assert data.train_x.shape == (4096, 3, 32, 32)
    assert data.test_x.shape == (1000, 3, 32, 32)
    np.testing.assert_array_equal(data.train_x[1437:2874], once.train_x)
    np.testing.assert_array_equal(data.train_t[:1437], once.train_t)
    np.testing.assert_array_equal(data.train_id[1437:2874], data.train_id[:1437])
    assert not rows(data.train_x) & rows(data.test_x)
    assert data.digest == once.digest


def test_fewer():
    data = datasets.load('digits', train_size=64, test_size=32)
    assert len(data.train_x) == 64
    assert len(data.test_t) == 32
    np.testing.assert_array_equal(data.train_x, datasets.load('digits').train_x[:64])


def test_the_same_every_time():
    a, b = (datasets.load('digits', train_size=100) for _ in range(2))
    assert a.digest == b.digest
    np.testing.assert_array_equal(a.train_x, b.train_x)


@pytest.mark.parametrize('sizes', [{'train_size': 0}, {'test_size': -3}])
def test_no_images_at_all(sizes):
    with pytest.raises(DataError, match='at least 1'):
        datasets.load('digits', **sizes)


def test_no_network_is_needed():
    assert datasets.is_cached('digits')
