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
        rest (float): to precondition with them, done by a rank that has both.
        is_wide (bool): whether its inverses are worth sending, so that several ranks share it.
    """

    A: float
    G: float
    rest: float = 0.0
    is_wide: bool = False


class Ownership(NamedTuple):
    """Who works on a layer.

    Attributes:
        team (tuple of int): ranks that hold both inverses and precondition.
        A, G (int): the rank of the team that averages and inverts that factor.
    """

    team: tuple[int, ...]
    A: int
    G: int


def team_size(fraction: float | None, size: int) -> int | None:
    """Ranks of a team: the largest divisor of ``size`` that is at most ``fraction * size``.

    At least 1; None if ``fraction`` is None.

    Raises:
        ConfigError: if the fraction is not in [0, 1].
    """
    if fraction is None:
        return None
    if not 0.0 <= fraction <= 1.0:
        raise ConfigError('fraction is {!r}; choose a number from 0 (one rank holds the inverses '
                          'of a layer) to 1 (all do), or None'.format(fraction))
    wanted = max(1, int(fraction * size + 1e-9))
    return max(n for n in range(1, wanted + 1) if size % n == 0)


def assign(layers: Sequence[LayerWork], size: int,
           fraction: float | None = None) -> list[Ownership]:
    """Give every layer a team, and each of its factors a rank.

    With a ``fraction`` all teams are equally large and partition the ranks, neighbours together.
    Without, a wide layer is everybody's and any other is one rank's.

    Args:
        layers: what there is to do.
        size (int): number of ranks.
        fraction (float in [0, 1], or None): as `team_size` takes it.
    Returns:
        list of Ownership, in the order of ``layers``.
    """
    width = team_size(fraction, size)
    loads = [0.0] * size
    found: list[Ownership | None] = [None] * len(layers)
    by_cost = sorted(range(len(layers)), key=lambda i: -(
        layers[i].A + layers[i].G + layers[i].rest))
    everybody = tuple(range(size))
    # Factors of shared layers are the largest single pieces that can be placed anywhere.
    shared = [i for i in by_cost if layers[i].is_wide] if width is None else (
        by_cost if width == size else [])
    for i in shared:
        for rank in everybody:
            loads[rank] += layers[i].rest / size
    pieces = sorted(((getattr(layers[i], side), i, side) for i in shared for side in 'AG'),
                    key=lambda piece: -piece[0])
    owners = {(i, side): _place(loads, everybody, cost) for cost, i, side in pieces}
    for i in shared:
        found[i] = Ownership(everybody, owners[i, 'A'], owners[i, 'G'])
    teams = [tuple(range(start, start + (width or 1))) for start in range(0, size, width or 1)]
    for i in by_cost:
        if found[i] is None:
            found[i] = _in_a_team(layers[i], teams, loads)
    return found


def _in_a_team(layer, teams, loads):
    """The team with the least to do takes the layer; its members share the factors."""
    team = min(teams, key=lambda team: sum(loads[rank] for rank in team))
    owners = {}
    for side in sorted('AG', key=lambda side: -getattr(layer, side)):
        owners[side] = _place(loads, team, getattr(layer, side))
    for rank in team:
        loads[rank] += layer.rest / len(team)
    return Ownership(team, owners['A'], owners['G'])


def _place(loads, ranks, cost):
    rank = min(ranks, key=lambda rank: loads[rank])
    loads[rank] += cost
    return rank
