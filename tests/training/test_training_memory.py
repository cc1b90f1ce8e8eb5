"""The memory that a run is expected to need on a GPU."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

from chainer_kfac import models, training
from chainer_kfac.datasets import BatchIterator
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import memory

MB = 2 ** 20


def test_kfac_at_batch_2048_stays_below_four_gigabytes():
    needs = {name: memory.needed(name, models.LeNet5(), 2048, (3, 28, 28))
             for name in memory.STATES}
    assert needs['kfac'] < 4e9
    assert needs['momentum_sgd'] < needs['adam'] < needs['kfac']


def test_the_need_grows_with_the_batch_and_what_it_holds():
    model = models.LeNet5()
    few, many = (memory.needed('kfac', model, n, (3, 28, 28)) for n in (64, 128))
    parameters = 4 * sum(param.size for param in model.params())
    factors = 4 * (2 * 4096 ** 2 + 1345 ** 2)           # of the linear layers
    assert few > 4 * parameters + memory.COPIES * factors
    # 64 more images: what they keep alone is 270 kB each, and their patches are 1 MB each
    assert 64 * (0.27e6 + 1e6) < many - few < 64 * 5e6


def test_one_layer_is_counted_by_hand():
    class One(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.conv = L.Convolution2D(2, 3, 3, pad=1)

        def forward(self, x):
            return F.relu(self.conv(x))

    image, out, patches = 2 * 8 * 8 * 4, 3 * 8 * 8 * 4, 2 * 9 * 8 * 8 * 4
    parameters = 4 * (3 * 2 * 9 + 3)
    needed = memory.needed('momentum_sgd', One(), 10, (2, 8, 8))
    assert needed == int(memory.SPARE * (
        10 * (2 * out + 2 * (2 * out)) + 2 * 10 * patches + 3 * parameters))
    assert image < 2 * out


def test_probing_leaves_no_trace():
    model = L.Classifier(models.LeNet5())
    before = [param.array.copy() for param in model.params()]
    state = np.random.get_state()[1].copy()
    memory.needed('adam', model, 8, (3, 28, 28))
    assert np.array_equal(np.random.get_state()[1], state)
    assert all(np.array_equal(a, p.array) for a, p in zip(before, model.params(), strict=True))


class Card:
    """A device that is not the CPU."""

    xp = chainer


def test_a_card_that_is_too_small_is_refused_before_anything_happens(monkeypatch):
    config = training.RunConfig(optimizer='kfac', lr=0.1, epochs=1, batch_size=64)
    iterator = BatchIterator(np.zeros((64, 3, 28, 28), np.uint8), np.zeros(64, np.int32), 64)
    model = L.Classifier(models.LeNet5())
    monkeypatch.setattr(memory, 'free', lambda device: 500 * MB)
    with pytest.raises(ConfigError, match=r'batch_size=64 with kfac needs about 1,\d\d\d MB of '
                                          'device memory, and 500 MB are free: lower batch_size'):
        memory.check(config, model, iterator, Card())
    assert iterator.epoch_detail == 0
    monkeypatch.setattr(memory, 'free', lambda device: 5000 * MB)
    memory.check(config, model, iterator, Card())
    memory.check(config, model, None, chainer.get_device('@numpy'))
