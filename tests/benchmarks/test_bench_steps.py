"""The steps that are timed, on a tiny batch: they train, and their phases add up."""
import numpy as np
import pytest

from benchmarks import child, rows
from benchmarks.clock import PHASES
from chainer_kfac.cli import main as command

CHAINER = [name for name in rows.NAMES if name not in ('augmentation', 'PyTorch SGD')]


@pytest.mark.parametrize('name', CHAINER)
def test_each_row_updates_the_model_in_known_phases(name):
    (_, parts), = rows.build([name], 8)
    step = parts[0][1]
    before = [p.array.copy() for p in step.model.params()]
    assert sum(share for share, _ in parts) == pytest.approx(1)
    for _, part in parts:
        seconds = part()
        assert set(seconds) <= set(PHASES)
        assert {'forward', 'backward', 'update'} <= set(seconds)
        assert all(value >= 0 for value in seconds.values())
    after = [p.array for p in step.model.params()]
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_refreshes_happen_when_they_are_asked_for():
    (_, parts), = rows.build(['K-FAC 10/100'], 8)
    (_, plain), (_, factors), (_, inverses) = parts
    counts = plain.optimizer.diagnostics
    for step, expected in ((plain, (1, 1)), (plain, (1, 1)), (factors, (2, 1)),
                           (plain, (2, 1)), (inverses, (3, 2)), (plain, (3, 2))):
        step()
        assert (counts['factor_updates'], counts['inverse_updates']) == expected


def test_stock_rows_are_chainer_as_it_is():
    for name, compiled in (('SGD', True), ('Chainer SGD', False)):
        (_, [(_, step)]), = rows.build([name], 8)
        module = type(step.model.predictor.conv1.W.update_rule).__module__
        assert module.startswith('chainer_kfac.') == compiled


def test_memory_and_first_step_are_measured():
    assert child.memory('2', 'SGD') > 50
    assert child.first('2')['first_step'] > 0


def test_the_command_refuses_unknown_rows(capsys):
    assert command(['bench', '--rows', 'SDG']) == 2
    assert 'SDG: no such row; there are SGD, Adam' in capsys.readouterr().err


def test_the_command_writes_its_files(tmp_path, capsys):
    assert command(['bench', '--batch', '2', '--threads', '1', '--rounds', '3', '--rows', 'SGD',
                    'augmentation', '--what', 'steps', '--out', str(tmp_path / 'b')]) == 0
    assert {p.suffix for p in tmp_path.iterdir()} == {'.json', '.md', '.png'}
    assert '## Batch 2, 1 thread (3 rounds)' in capsys.readouterr().out
