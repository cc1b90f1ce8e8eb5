"""The time of a training step on many ranks, from rates of computing and a model of the network.

Computing: operations of each phase over a measured or stated rate. Communication: Hockney's model,
alpha + n beta for a message of n bytes; a reduce-scatter or an all-gather of n bytes over p ranks
by recursive halving takes log2(p) alpha + (p - 1)/p n beta (Thakur, Rabenseifner and Gropp 2005).
Nothing overlaps, and one rank has a network link for itself. Ownership is that of the package,
`chainer_kfac.communicators.assignment`.
"""
import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.scaling.layers import Layer
from chainer_kfac.communicators.assignment import LayerWork, assign


class Network(NamedTuple):
    """Latency in seconds, and bytes a second of one link in one direction."""

    alpha: float
    bandwidth: float


USABLE = 0.9
"""Share of a link's rate that large messages get: an assumption."""

NETWORKS = {
    'Omni-Path': Network(1.1e-6, USABLE * 12.5e9),
    'InfiniBand EDR': Network(1.0e-6, USABLE * 12.5e9),
    'InfiniBand HDR': Network(1.0e-6, USABLE * 25e9),
    '100 GbE': Network(15e-6, USABLE * 12.5e9),
}
"""Rates of the links are those of their standards; latencies, of MPI, are assumptions (TCP for
Ethernet)."""


class Rates(NamedTuple):
    """Operations a second of one rank.

    Attributes:
        gradient (float): forward and backward passes.
        product (float): products of large matrices: factors, preconditioning.
        inverse (float): inverses of factors, n^3 operations each.
    """

    gradient: float
    product: float
    inverse: float

    def times(self, factor: float) -> 'Rates':
        """Rates of a rank that is faster in everything alike."""
        return Rates(*(factor * rate for rate in self))


class Strategy(NamedTuple):
    """How K-FAC is spread, or ``kfac=False`` for averaged gradients alone.

    Attributes:
        fraction (float or None): as `DistributedKFAC` has it.
        packed (bool), half (bool): triangles of symmetric matrices; float16 on the wire.
        rows (bool): work with the rows of the batch where a factor is more than twice as wide as
            they are many, as K-FAC of this package does (Woodbury; a window of one step).
        factors, inverses (int): updates between refreshes.
    """

    kfac: bool = True
    fraction: float | None = 0.0
    packed: bool = True
    half: bool = False
    rows: bool = False
    factors: int = 1
    inverses: int = 1


STRATEGIES = {
    'SGD': Strategy(kfac=False),
    'K-FAC, every rank inverts all': Strategy(fraction=1.0),
    'K-FAC, an owner a layer': Strategy(),
    'K-FAC, shared where it pays': Strategy(fraction=None),
    'K-FAC, shared where it pays, unpacked': Strategy(fraction=None, packed=False),
    'K-FAC, shared where it pays, float16': Strategy(fraction=None, half=True),
    'K-FAC, shared where it pays, rows': Strategy(fraction=None, rows=True),
    'K-FAC, shared where it pays, every 10 and 100': Strategy(fraction=None, factors=10,
                                                            inverses=100),
}


class Step(NamedTuple):
    """Seconds of a step, and the bytes that a rank gives to collectives."""

    computing: float
    communicating: float
    bytes: float

    @property
    def seconds(self) -> float:
        return self.computing + self.communicating


def step(layers: Sequence[Layer], batch: int, ranks: int, strategy: Strategy, rates: Rates,
         network: Network) -> Step:
    """One step of a network.

    Args:
        layers: of the network.
        batch (int): images of each rank.
    """
    computing = sum(6.0 * batch * layer.positions * layer.weights for layer in layers)
    computing /= rates.gradient
    number = 2 if strategy.half else 4
    gradients = number * sum(layer.weights for layer in layers)
    if not strategy.kfac:
        return Step(computing, 2 * _collective(gradients, ranks, network), _sent(
            2 * gradients, ranks))
    sides = [[_side(dim, batch * layer.positions, ranks, strategy, rates)
              for dim in (layer.inputs, layer.outputs)] for layer in layers]
    computing += sum(side.factor for pair in sides for side in pair) / strategy.factors
    rests = [2.0 * layer.weights * (A.width + G.width) / rates.product
             for layer, (A, G) in zip(layers, sides, strict=True)]
    inverses = [4 * (A.numbers + G.numbers) / strategy.inverses for A, G in sides]
    shared = [strategy.fraction is None and layer.outputs >= ranks > 1
              and rest * (1 - 1 / ranks) > _collective(size, ranks, network)
              for layer, rest, size in zip(layers, rests, inverses, strict=True)]
    works = [LayerWork(A.inverse / strategy.inverses, G.inverse / strategy.inverses, *rest)
             for (A, G), *rest in zip(sides, rests, shared, strict=True)]
    computing += _busiest(works, ranks, strategy)
    factors = number * sum(A.numbers + G.numbers for A, G in sides) / strategy.factors
    messages = [gradients, factors, gradients]  # two reductions, and directions or gradients back
    if strategy.fraction == 1.0:
        messages.append(factors)               # everybody needs the sums
    messages.append(sum(size for size, is_shared in zip(inverses, shared, strict=True)
                        if is_shared))
    communicating = sum(_collective(size, ranks, network) for size in messages if size)
    return Step(computing, communicating, _sent(sum(messages), ranks))


class _Side(NamedTuple):
    """One factor of a layer: seconds to build a rank's part and to invert, numbers that are sent,
    and the width of what preconditioning multiplies with."""

    factor: float
    inverse: float
    numbers: int
    width: int


def _side(dim, own_rows, ranks, strategy, rates):
    rows = own_rows * ranks
    if strategy.rows and 2 * rows < dim:
        gram = rows ** 2 * dim / rates.product
        return _Side(0.0, gram + rows ** 3 / rates.inverse, rows * dim, 2 * rows)
    numbers = dim * (dim + 1) // 2 if strategy.packed else dim ** 2
    return _Side(own_rows * dim ** 2 / rates.product, dim ** 3 / rates.inverse, numbers, dim)


def _busiest(works, ranks, strategy):
    """Seconds that the rank with most to do inverts and preconditions in an average step."""
    if strategy.fraction == 1.0:
        return sum(sum(work[:3]) for work in works)
    loads = [0.0] * ranks
    for work, owner in zip(works, assign(works, ranks, ranks), strict=True):
        loads[owner.A] += work.A
        loads[owner.G] += work.G
        for rank in owner.team:
            loads[rank] += work.rest / len(owner.team)
    return max(loads)


def _collective(size, ranks, network):
    if ranks == 1:
        return 0.0
    return math.log2(ranks) * network.alpha + (ranks - 1) / ranks * size / network.bandwidth


def _sent(size, ranks):
    return size if ranks > 1 else 0
