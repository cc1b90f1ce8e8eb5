"""The seeds of a cell as one line, and every other run as its own."""
import json

import pytest

from chainer_kfac.analysis import curves, runs


def read(*directories):
    return [runs.read(directory) for directory in directories]


def test_finished_seeds_are_one_line(write_run):
    found = curves.of(read(*(write_run('adam', 128, accuracies, seed=seed) for seed, accuracies in
                             enumerate([[0.5, 0.75], [0.25, 0.5], [0.75, 0.25]]))))
    curve, = found
    assert curve.seeds == [0, 1, 2]
    assert curve.state == 'finished'
    assert curve.validation == curves.Band([0.5, 0.5], [0.25, 0.25], [0.75, 0.75])
    assert curve.train.mean == [0.25, 0.5]
    assert curve.x == {'iteration': [390, 781], 'epoch': [1, 2], 'seconds': [10, 20]}


def test_the_gap_is_of_each_seed(write_run):
    curve, = curves.of(read(write_run('adam', 128, [0.5]), write_run('adam', 128, [0.25], seed=1)))
    assert curve.gap == curves.Band([-0.125], [-0.25], [0.0])


def test_an_unfinished_run_is_a_line_of_its_own_as_far_as_its_log_goes(write_run):
    found = curves.of(read(write_run('adam', 128, [0.5, 0.75]),
                           write_run('adam', 128, [0.25], finished=False, seed=1)))
    assert [(curve.state, curve.seeds, curve.validation.mean) for curve in found] == [
        ('finished', [0], [0.5, 0.75]), ('unfinished', [1], [0.25])]


def test_a_run_without_an_epoch_is_no_line(write_run):
    directory = write_run('adam', 128, finished=False)
    (directory / 'log').unlink()
    assert curves.of(read(directory)) == []


def test_seeds_that_were_not_trained_alike_stay_apart(write_run):
    found = curves.of(read(write_run('adam', 128), write_run('adam', 128, seed=1, dropout=0.25)))
    assert [curve.seeds for curve in found] == [[0], [1]]


def test_a_pause_is_no_part_of_the_seconds(write_run):
    directory = write_run('adam', 128, [0.5] * 4)
    log = json.loads((directory / 'log').read_text())
    for entry in log[2:]:
        entry['elapsed_time'] += 3600
    (directory / 'log').write_text(json.dumps(log))
    curve, = curves.of(read(directory))
    assert curve.x['seconds'] == pytest.approx([10, 20, 30, 40])
