"""The time left, from what runs have taken."""
import json

import pytest

from chainer_kfac.sweeps import estimate
from chainer_kfac.sweeps.estimate import Measured
from chainer_kfac.training.config import RunConfig


def test_unknown_before_the_first_epoch():
    runs = [Measured('adam', 128, total=2), Measured('kfac', 128, total=2)]
    assert estimate.seconds_left(runs, runs, jobs=1) is None


def test_the_most_similar_run_decides():
    done = [Measured('adam', 128, 4, 4, 40.0), Measured('adam', 512, 4, 4, 80.0),
            Measured('kfac', 128, 4, 4, 400.0)]

    def left(optimizer, batch_size):
        return estimate.seconds_left([Measured(optimizer, batch_size, 4)], done, jobs=1)

    assert left('adam', 512) == 4 * 20         # its own cell
    assert left('adam', 2048) == 4 * 15        # mean of its optimizer
    assert left('momentum_sgd', 128) == pytest.approx(4 * 130 / 3)  # mean of all


def test_a_running_run_counts_what_it_has_left():
    running = Measured('adam', 128, total=10, done=4, seconds=40.0)
    assert estimate.seconds_left([running], [running], jobs=1) == 60


def test_a_first_epoch_takes_at_least_as_long_as_it_has_been_running():
    done = Measured('adam', 128, total=2, done=2, seconds=4.0)
    running = Measured('kfac', 128, total=3, seconds=50.0)
    assert estimate.seconds_left([running], [done, running], jobs=1) == 3 * 50
    running = Measured('kfac', 128, total=3, seconds=1.0)
    assert estimate.seconds_left([running], [done, running], jobs=1) == 3 * 2


def test_jobs_share_the_work_but_not_one_run():
    def runs(n):
        return [Measured('adam', 128, total=11, done=1, seconds=1.0)] * n
    assert estimate.seconds_left(runs(4), runs(4), jobs=2) == 20
    assert estimate.seconds_left(runs(1), runs(1), jobs=2) == 10


def test_nothing_ahead_is_no_time():
    assert estimate.seconds_left([], [Measured('adam', 128, 2, 2, 1.0)], jobs=2) == 0


def test_measure_reads_the_log(tmp_path):
    config = RunConfig(optimizer='adam', lr=0.1, epochs=2, min_updates=8, batch_size=2048,
                       train_size=4096)
    assert estimate.measure(config, tmp_path) == Measured('adam', 2048, total=4)
    assert estimate.measure(config, tmp_path, running=7.5).seconds == 7.5
    (tmp_path / 'log').write_text(json.dumps([
        {'epoch': 1, 'elapsed_time': 2.5}, {'epoch': 2, 'elapsed_time': 5.0}]))
    assert estimate.measure(config, tmp_path) == Measured('adam', 2048, 4, 2, 5.0)
    (tmp_path / 'log').write_text('[{"epoch": 1, "elap')  # in the middle of being written
    assert estimate.measure(config, tmp_path).done == 0


@pytest.mark.parametrize(('seconds', 'text'), [
    (None, 'time left unknown'), (44.6, 'about 45 s left'), (600, 'about 10 min left'),
    (7500, 'about 2 h 05 min left')])
def test_say(seconds, text):
    assert estimate.say(seconds) == text
