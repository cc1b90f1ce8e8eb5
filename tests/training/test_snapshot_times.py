"""When snapshots are made: by a clock that the test moves, and in a real run of short epochs."""
import time
import types
from unittest import mock

import pytest
from training_support import ALONE, config

from chainer_kfac import training
from chainer_kfac.training import run_directory
from chainer_kfac.training.extensions import SnapshotTrigger, triggers
from chainer_kfac.training.stop import Stop


class Run:
    """Epochs of ``epoch`` seconds in ``pieces`` iterations; a snapshot takes ``price`` seconds.

    Attributes:
        times (list of float): of training, when snapshots were begun.
        spent (float): seconds for snapshots.
        lost (float): the most that a kill would ever have cost, in seconds of training.
    """

    def __init__(self, epoch, price, epochs=50, pieces=4):
        self.now = self.trained = self.spent = self.lost = 0.0
        self.clock = types.SimpleNamespace(monotonic=lambda: self.now)
        self.epoch, self.price, self.pieces = epoch, price, pieces
        self.stop = Stop(epochs, ALONE)
        self.updater = types.SimpleNamespace(epoch=0, is_new_epoch=False)
        self.times = []
        with mock.patch.object(triggers, 'time', self.clock):
            self.trigger = SnapshotTrigger(self.stop, ALONE)

    def train(self, iterations=None):
        with mock.patch.object(triggers, 'time', self.clock):
            for i in range(1, (iterations or self.stop.epochs * self.pieces) + 1):
                self.now += self.epoch / self.pieces
                self.trained += self.epoch / self.pieces
                self.updater.epoch, left = divmod(i, self.pieces)
                self.updater.is_new_epoch = not left
                self.lost = max(self.lost, self.trained - (self.times or [0.0])[-1])
                if self.trigger(self):
                    self.times.append(self.trained)
                    self.now += self.price
                    self.spent += self.price
                    self.trigger.written()
                if self.stop(self):
                    break
        return self


@pytest.mark.parametrize('price', [0.0, 0.3, 1.5, 20.0])
def test_long_epochs_each_have_one(price):
    run = Run(60.0, price).train()
    assert run.times == [60.0 * epoch for epoch in range(1, 51)]


@pytest.mark.parametrize(('epoch', 'price'), [(1.0, 0.5), (1.0, 1.5), (0.2, 0.4), (0.1, 1.0)])
def test_short_epochs_spend_a_twentieth_of_the_time(epoch, price):
    run = Run(epoch, price, epochs=4000).train()
    # the first comes whatever it takes, which is not known before, and so does the last
    assert 0.04 < (run.spent - 2 * price) / run.now < 0.0501
    assert run.lost <= 19 * price + 2 * epoch
    assert run.times[0] == epoch
    assert run.times[-1] == pytest.approx(4000 * epoch)


def test_cheap_ones_follow_each_short_epoch():
    assert len(Run(1.0, 0.04).train().times) == 50


def test_dear_ones_are_at_most_half_a_minute_apart():
    run = Run(1.0, 10.0, epochs=300).train()
    assert run.times[:3] == [1.0, 31.0, 61.0]
    assert run.lost <= 31.0


def test_a_long_epoch_has_some_inside():
    run = Run(4000.0, 1.0, epochs=1, pieces=40).train()
    assert run.times == [600.0, 1200.0, 1800.0, 2400.0, 3000.0, 3600.0, 4000.0]


def test_the_price_is_that_of_the_last_one():
    run = Run(1.0, 1.5, epochs=100)
    run.train(4)
    run.price = 0.01
    run.train()
    assert run.times[1] == 30.0        # 28.5 s after the first; its price came down
    assert len(run.times) == 73


@pytest.mark.parametrize('why', ['signal', 'wish'])
def test_the_end_has_one_whatever_the_time(why):
    run = Run(1.0, 5.0)
    run.train(5)
    assert run.times == [1.0]
    if why == 'signal':
        run.stop._received = 15
        run.stop.read_signal()
    else:
        run.stop.reason = 'enough'
    with mock.patch.object(triggers, 'time', run.clock):
        assert run.trigger(run)


def test_a_run_of_short_epochs(tmp_path, monkeypatch):
    """Fewer snapshots than epochs, and the last epoch is in one before the result is written."""
    made, finish = [], run_directory.RunDirectory.finish
    written = SnapshotTrigger.written

    def slowly(self):
        time.sleep(0.3)
        written(self)
        made.append(self._wait)

    def look(self, name, content):
        assert self.snapshots()[0].name == 'snapshot_iter_25'
        finish(self, name, content)

    monkeypatch.setattr(SnapshotTrigger, 'written', slowly)
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', look)
    training.run(config(epochs=4), tmp_path)
    assert len(made) == 2       # after the first epoch, and at the end
    assert made[0] >= 0.3 * 19
