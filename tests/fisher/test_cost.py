"""The cost model against its formulas, and what it chooses for the paper's network."""
import pytest

from chainer_kfac.fisher.cost import (
    READING,
    WEIGHTS,
    Layer,
    Schedule,
    Work,
    choose,
    path_costs,
    window_length,
    work,
)
from chainer_kfac.fisher.path import Path

N, n, m = 128, 4096, 1345
FC4, FC5 = Layer(N, n, m), Layer(N, 10, 4097)
ONE_BATCH = Schedule(weight_of_new=1.0)
ROWS = Path(rows_A=True, rows_G=True, window=1, thin=True)


def test_one_batch_in_sample_space():
    expected = N ** 2 * (n + m) + 2 * N ** 3 / 3 + 4 * N ** 2 * m + 2 * N * n * m
    assert work(ROWS, FC4, ONE_BATCH).flops == pytest.approx(expected)
    assert expected / 1e9 == pytest.approx(1.59, abs=0.01)


@pytest.mark.parametrize('window', [1, 4])
def test_decay_in_sample_space(window):
    path, r = ROWS._replace(window=window), window * N
    plain = work(path, FC4, ONE_BATCH).flops
    assert work(path, FC4, ONE_BATCH._replace(decay=True)).flops - plain == pytest.approx(
        8 * r * n * m + 8 * r ** 2 * m - 2 * N * n * m)


def test_a_window_in_sample_space():
    K = 4
    path = ROWS._replace(window=K)
    gram = 2 * N * K * N * (n + m)
    factors = 2 * (K * N) ** 3 / 3
    apply = 2 * K * N * N * (n + m) + 4 * (K * N) ** 2 * N + 2 * N * n * m
    assert work(path, FC4, ONE_BATCH).flops == pytest.approx(gram + factors + apply)


def test_dense_inverses():
    schedule = Schedule(factor_interval=10, inverse_interval=100)
    expected = N * (n ** 2 + m ** 2) / 10 + (n ** 3 + m ** 3) / 100 + 2 * n * m * (n + m)
    squares = 2 * (n ** 2 + m ** 2)
    expected += squares * READING['product']
    assert work(Path(), FC4, schedule).flops == pytest.approx(expected)
    solve = work(Path(solve=True), FC4, schedule).flops
    assert expected - solve == pytest.approx(
        2 / 3 * (n ** 3 + m ** 3) / 100 - squares * (READING['solve'] - READING['product']))


def test_rows_of_a_dense_side_break_even():
    """Preconditioning rows first pays while N < n m (n + m) / (n^2 + m^2), 1613 for fc4."""
    rare = Schedule(10 ** 9, 10 ** 9, gradient_is_formed=False)
    even = n * m * (n + m) / (n ** 2 + m ** 2)
    assert even == pytest.approx(1612.76, abs=0.01)
    for rows, pays in ((1612, True), (1613, False)):
        layer = Layer(rows, n, m)
        difference = (work(Path(), layer, rare).flops - work(Path(thin=True), layer, rare).flops)
        assert (difference > 0) is pays


def test_weights_count_each_kind():
    kinds = Work(1, 10, 100, 1000, 10000)
    assert kinds.flops == 11111
    assert kinds.weighted == pytest.approx(
        WEIGHTS['product'] + 10 * WEIGHTS['symmetric product'] + 100 * WEIGHTS['solve']
        + 1000 * WEIGHTS['factor'] + 10000 * WEIGHTS['inverse'])


@pytest.mark.parametrize('weight, tolerance, length', [
    (1.0, 1e-7, 1), (0.99, 1e-8, 4), (0.99, 1e-7, 4), (0.99, 1e-6, 3), (0.9, 1e-2, 2),
    (0.5, 0.5, 1), (0.5, 0.1, 4), (0.05, 1e-7, None), (0.0, 1e-7, None)])
def test_window_length(weight, tolerance, length):
    assert window_length(weight, tolerance) == length
    if length is not None and weight < 1:
        assert (1 - weight) ** length <= tolerance * (1 + 1e-9)
        assert length == 1 or (1 - weight) ** (length - 1) > tolerance


def test_choices_for_the_papers_network():
    often, rarely = Schedule(), Schedule(10, 100, weight_of_new=0.05)
    assert choose(FC4, often) == Path(rows_A=True, rows_G=True, window=4, thin=True)
    assert choose(FC5, often).rows_A
    assert not choose(FC5, often).rows_G
    assert choose(FC4, rarely) == Path(thin=True)
    assert choose(FC5, rarely) == Path()
    assert choose(FC5, rarely._replace(inverse_interval=20)) == Path(solve=True)
    assert choose(FC4._replace(rows=2048), rarely) == Path()
    assert choose(FC4._replace(rows=2048), often) == Path(solve=True)
    assert choose(FC4._replace(rows=2048), ONE_BATCH).rows_G
    for schedule in (often, rarely):
        conv2 = choose(Layer(N * 196, 32, 801), schedule, rows_usable=False)
        assert not conv2.keeps_rows


def test_the_choice_is_the_cheapest_and_the_list_is_whole():
    for schedule in (Schedule(), Schedule(decay=True), Schedule(5, 7, 0.3), ONE_BATCH):
        costs = path_costs(FC4, schedule)
        assert min(costs.values(), key=lambda cost: cost.weighted) == costs[choose(FC4, schedule)]
        assert len(set(costs)) == len(costs)
        windows = window_length(schedule.weight_of_new, 1e-7) is not None
        assert len(costs) == (14 if windows else 4)
    assert set(path_costs(FC4, Schedule(), rows_usable=False)) == {Path(), Path(solve=True)}
