"""Which rank does what of which layer: a pure function of sizes, the same on every rank.

Longest processing time first: the costliest piece of work goes to the rank with the least so far,
which is never more than 4/3 of the best possible load (Graham 1969).
"""
from collections.abc import Sequence
from typing import NamedTuple

from chainer_kfac.exceptions import ConfigError


class LayerWork(NamedTuple):
    """Operations of an average update that a layer needs.

    Attributes:
        A, G (float): to invert each damped factor; n^3 of a dense one.
        rest (float): to precondition with both.
        is_shared (bool): whether a team holds its inverses and divides ``rest``.
    """

    A: float
    G: float
    rest: float = 0.0
    is_shared: bool = False


class Ownership(NamedTuple):
    """Who works on a layer.

    Attributes:
        team (tuple of int): ranks that hold both inverses and precondition, in rising order.
        A, G (int): the rank of the team that averages and inverts that factor.
    """

    team: tuple[int, ...]
    A: int
    G: int


def team_size(fraction: float | None, size: int) -> int:
    """Ranks of a team: the largest divisor of ``size`` that is at most ``fraction * size``.

    At least 1; all of them if ``fraction`` is None.

    Raises:
        ConfigError: if the fraction is not in [0, 1].
    """
    if fraction is None:
        return size
    if not 0.0 <= fraction <= 1.0:
        raise ConfigError('fraction is {!r}; choose a number from 0 (one rank holds the inverses '
                          'of a layer) to 1 (all do), or None'.format(fraction))
    wanted = max(1, int(fraction * size + 1e-9))
    return max(n for n in range(1, wanted + 1) if size % n == 0)


def assign(layers: Sequence[LayerWork], size: int, width: int) -> list[Ownership]:
    """Give every layer a team, and each of its factors a rank.

    Args:
        layers: what there is to do.
        size (int): number of ranks.
        width (int): ranks of a team, a divisor of ``size``; teams are neighbours. A layer that is
            not shared has a team of one.
    Returns:
        list of Ownership, in the order of ``layers``.
    """
    loads = [0.0] * size
    found: dict[int, Ownership] = {}
    by_cost = sorted(range(len(layers)), key=lambda i: -sum(layers[i][:3]))
    teams = [tuple(range(start, start + width)) for start in range(0, size, width)]
    teams_of = {}
    shared = [i for i in by_cost if layers[i].is_shared and width > 1]
    for i in shared:
        teams_of[i] = min(teams, key=lambda team: sum(loads[rank] for rank in team))
        for rank in teams_of[i]:
            loads[rank] += sum(layers[i][:3]) / width
    # What the teams were chosen by was an even share; now each factor goes to one member.
    loads = [0.0] * size
    for i in shared:
        for rank in teams_of[i]:
            loads[rank] += layers[i].rest / width
    pieces = sorted(((getattr(layers[i], side), i, side) for i in shared for side in 'AG'),
                    key=lambda piece: -piece[0])
    owners = {(i, side): _place(loads, teams_of[i], cost) for cost, i, side in pieces}
    for i in by_cost:
        if i in teams_of:
            found[i] = Ownership(teams_of[i], owners[i, 'A'], owners[i, 'G'])
        else:
            rank = _place(loads, range(size), sum(layers[i][:3]))
            found[i] = Ownership((rank,), rank, rank)
    return [found[i] for i in range(len(layers))]


def _place(loads, ranks, cost):
    rank = min(ranks, key=lambda rank: loads[rank])
    loads[rank] += cost
    return rank
