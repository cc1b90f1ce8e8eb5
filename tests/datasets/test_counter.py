"""Counter-based random numbers: the published generator, its statistics, its independence."""
import numpy as np
import pytest
from scipy import stats

from chainer_kfac.datasets import counter

MASK = 2 ** 64 - 1


def splitmix64(state):
    """One output of SplitMix64 in Python's integers, written from its publication."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@pytest.mark.parametrize('key', [(0,), (7, 1, 0, 49999, 9), (2 ** 40, 3)])
def test_bits_are_splitmix64(key):
    state = 0
    for word in key:
        state = splitmix64(state + (word + 1) * 0x9E3779B97F4A7C15)
    assert counter.bits(*key).tolist() == [state]
    assert counter.uniform(*key).tolist() == [((state >> 11) + 0.5) / 2 ** 53]


def test_first_words_are_the_published_sequence():
    # The first outputs of the reference implementation for seed 0.
    assert [hex(b) for b in counter.bits(np.arange(3)).tolist()] == [
        '0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4', '0x6c45d188009454f']


def test_a_number_does_not_depend_on_its_neighbours():
    epoch, index = np.arange(3)[:, None], np.arange(5)
    together = counter.uniform(1, 2, epoch, index)
    assert together.shape == (3, 5)
    alone = [[counter.uniform(1, 2, e, i)[0] for i in range(5)] for e in range(3)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize('word', range(4))
def test_uniform_along_every_word_of_the_key(word):
    key = [5, 1, 3, 8]
    key[word] = np.arange(20000)
    u = counter.uniform(*key)
    assert u.min() > 0
    assert u.max() < 1
    assert stats.kstest(u, 'uniform').pvalue > 1e-3
    for lag in (1, 2, 10):
        assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 4 / np.sqrt(len(u))


def test_words_of_the_key_are_not_interchangeable():
    a, b = np.arange(2000), np.arange(2000)[::-1]
    assert abs(np.corrcoef(counter.uniform(a, b), counter.uniform(b, a))[0, 1]) < 0.1


def test_permutation():
    order = counter.permutation(1000, 4, 2)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert (order != counter.permutation(1000, 4, 3)).mean() > 0.98
    assert abs(stats.spearmanr(order, np.arange(1000)).statistic) < 0.13


def test_permutation_is_fair():
    first = [counter.permutation(10, 0, epoch)[0] for epoch in range(5000)]
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-3


def test_permutation_stays_what_it_is():
    # Runs made with one version must repeat with the next: the order is part of the format.
    assert counter.permutation(8, 0, counter.ORDER, 0).tolist() == [1, 0, 4, 6, 7, 2, 3, 5]
