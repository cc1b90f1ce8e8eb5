"""Who owns what: by cost, the same on every rank, whatever the number of ranks."""
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainer_kfac.communicators.assignment import LayerWork, assign, team_size
from chainer_kfac.exceptions import ConfigError

LENET5 = [LayerWork(76 ** 3, 32 ** 3), LayerWork(801 ** 3, 32 ** 3), LayerWork(801 ** 3, 64 ** 3),
          LayerWork(1345 ** 3, 4096 ** 3, is_shared=True),
          LayerWork(4097 ** 3, 10 ** 3, is_shared=True)]
LAYERS = st.lists(st.builds(LayerWork, st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9),
                            st.booleans()), max_size=9)


def loads(layers, owners, size):
    total = [0.0] * size
    for layer, owner in zip(layers, owners):
        total[owner.A] += layer.A
        total[owner.G] += layer.G
        for rank in owner.team:
            total[rank] += layer.rest / len(owner.team)
    return total


@settings(max_examples=80, deadline=None)
@given(LAYERS, st.integers(1, 9), st.floats(0, 1))
def test_owners_are_members_of_their_team(layers, size, fraction):
    width = team_size(fraction, size)
    assert size % width == 0
    assert width == 1 or width <= fraction * size + 1e-6
    owners = assign(layers, size, width)
    assert len(owners) == len(layers)
    for layer, owner in zip(layers, owners):
        assert {owner.A, owner.G} <= set(owner.team) <= set(range(size))
        assert len(owner.team) == (width if layer.is_shared else 1)
        assert list(owner.team) == sorted(owner.team)
    assert owners == assign(layers, size, width)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=6), st.integers(1, 3))
def test_single_layers_are_within_four_thirds_of_the_best(costs, size):
    layers = [LayerWork(cost, 0.0) for cost in costs]
    found = max(loads(layers, assign(layers, size, 1), size))
    best = min(max(sum(cost for cost, at in zip(costs, places) if at == rank)
                   for rank in range(size))
               for places in itertools.product(range(size), repeat=len(costs)))
    assert found <= 4 / 3 * best * (1 + 1e-9)


def test_by_cost_and_not_by_count():
    layers = [LayerWork(100.0, 0.0)] + [LayerWork(10.0, 0.0)] * 5
    owners = assign(layers, 2, 1)
    assert [owner.A for owner in owners] == [0, 1, 1, 1, 1, 1]


def test_the_wide_factors_of_lenet5_go_to_different_ranks():
    owners = assign(LENET5, 2, 2)
    assert owners[3].G != owners[4].A
    load = loads(LENET5, owners, 2)
    assert max(load) < 0.53 * sum(load)


def test_both_factors_of_one_layer_may_go_apart():
    owner, = assign([LayerWork(5.0, 4.0, is_shared=True)], 2, 2)
    assert {owner.A, owner.G} == {0, 1}


@pytest.mark.parametrize('fraction, size, width', [
    (None, 6, 6), (1.0, 6, 6), (0.5, 6, 3), (0.9, 6, 3), (0.4, 6, 2), (0.0, 6, 1), (0.5, 3, 1),
    (1 / 3, 3, 1), (2 / 3, 3, 1), (0.99, 7, 1)])
def test_teams_are_equally_large(fraction, size, width):
    assert team_size(fraction, size) == width


@pytest.mark.parametrize('fraction', [-0.1, 1.5, float('nan')])
def test_a_fraction_is_from_0_to_1(fraction):
    with pytest.raises(ConfigError, match='fraction is'):
        team_size(fraction, 4)
