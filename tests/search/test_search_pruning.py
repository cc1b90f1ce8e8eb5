"""The two rules, on curves whose verdict is plain."""
import pytest

from chainer_kfac.search import pruning
from chainer_kfac.search.progress import losses

GOOD = [1 / epoch for epoch in range(1, 21)]


def flat(loss, epochs=20):
    return [loss] * epochs


OTHERS = [flat(level / 10) for level in range(1, 10)]  # 0.1 ... 0.9; the median is 0.5


def test_median_rule():
    assert pruning.verdict(flat(0.6, 4), OTHERS, 20, 'median') == 'median'
    assert pruning.verdict(flat(0.5, 4), OTHERS, 20, 'median') is None
    assert pruning.verdict(flat(0.6, 3), OTHERS, 20, 'median') is None  # not before a fifth


def test_one_bad_epoch_decides_nothing():
    assert pruning.verdict([0.2, 0.2, 0.2, 5.0], OTHERS, 20, 'both') is None


def test_halving_keeps_the_best_third_at_its_rungs():
    assert pruning.rungs(20) == [2, 6]
    assert pruning.rungs(200) == [22, 66]
    assert pruning.rungs(2) == [1]
    assert pruning.rungs(1) == []
    for level, kept in ((0.05, True), (0.3, True), (0.31, False), (0.9, False)):
        verdict = pruning.verdict(flat(level, 2), OTHERS, 20, 'halving')
        assert (verdict is None) == kept
    assert pruning.verdict(flat(0.9, 3), OTHERS, 20, 'halving') is None


def test_no_verdict_from_few_or_short_rivals():
    assert pruning.verdict(flat(9.0, 6), OTHERS[:4], 20) is None
    assert pruning.verdict(flat(9.0, 6), [curve[:5] for curve in OTHERS], 20) is None
    assert pruning.verdict(flat(9.0, 6), OTHERS[:5], 20) is not None


def test_never_at_the_end_and_never_when_off():
    assert pruning.verdict(flat(9.0), OTHERS, 20) is None
    assert pruning.verdict(flat(9.0, 6), OTHERS, 20, 'none') is None


def test_the_best_trial_is_never_pruned():
    for epoch in range(1, 20):
        assert pruning.verdict(GOOD[:epoch], [flat(2.0)] * 9, 20) is None


def test_saving():
    assert pruning.saving([(20, False), (2, True), (6, True)], 20) == (2, 32, 60)
    assert pruning.saving([], 20) == (0, 0, 0)


@pytest.mark.parametrize('curve', [
    [{'epoch': 2, 'loss': 1.0}], [{'epoch': 1, 'loss': 1.0}, {'epoch': 3, 'loss': 1.0}],
    [{'loss': 1.0}], [1.0], None, 'x', {}, [{'epoch': 1, 'loss': 'x'}], [{'epoch': 1, 'loss': []}]])
def test_a_curve_with_gaps_or_of_a_strange_shape_is_not_compared(curve):
    assert losses(curve) == []


def test_a_loss_that_was_not_finite_is_the_worst():
    assert losses([{'epoch': 1, 'loss': None}, {'epoch': 2, 'loss': 0.5}]) == [float('inf'), 0.5]
