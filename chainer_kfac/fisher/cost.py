"""What each way of preconditioning one layer costs, in operations; the cheapest is chosen.

A multiplication and an addition are two operations. N rows, n outputs, m = inputs + bias, and a
window of K batches make r = K N rows held. Averaged over the updates between two refreshes:

    factor         dense: N m^2              rows: N r m 2 (N^2 m if K = 1)
    factorisation  inverse: m^3   solve: m^3 / 3    rows: r^3 / 3
    application    whole gradient, dense side: 2 n m m     rows: 4 r n m
                   both sides rows: 8 r n m + 8 r^2 m
                   rows, dense side: 2 N m^2               rows: 2 N r m, both sides of one batch
                   share 4 N^2 min(n, m)    then 2 N n m for the product of the rows
    weight decay   along with rows: the whole-gradient price of W, less the 2 N n m that the
                   gradient shares where both sides are rows

and the same with n for G. Operations of one kind take longer than those of another: `WEIGHTS`. A
dense side must be read, however few vectors it is applied to: `READING`.
"""
import math
from typing import NamedTuple

from chainer_kfac.fisher.path import Path

WEIGHTS = {'product': 1.0, 'symmetric product': 1.15, 'solve': 1.4, 'factor': 1.4, 'inverse': 1.3}
"""Time of an operation of each kind, in operations of a large matrix product (measured, CPU)."""

READING = {'product': 10, 'solve': 50}
"""Vectors in whose product or solution a wide dense side is read once (measured, CPU)."""

MAX_WINDOW = 64


class Layer(NamedTuple):
    """Rows of one step (examples x positions), outputs, and inputs + bias of a layer."""

    rows: int
    n: int
    m: int


class Schedule(NamedTuple):
    """What the hyperparameters say about when work is done.

    Attributes:
        factor_interval, inverse_interval (int): updates from refresh to refresh.
        weight_of_new (float): of the newest factor in the running average, `ema.weight_of_new`.
        decay (bool): coupled weight decay is on.
        gradient_is_formed (bool): backpropagation forms the layer's gradient in any case; if not,
            a path that needs the whole gradient pays 2 N n m for it.
    """

    factor_interval: int = 1
    inverse_interval: int = 1
    weight_of_new: float = 0.99
    decay: bool = False
    gradient_is_formed: bool = True


class Work(NamedTuple):
    """Operations of each kind in an average update; reading counts as those it takes as long as."""

    product: float = 0.0
    symmetric_product: float = 0.0
    solve: float = 0.0
    factor: float = 0.0
    inverse: float = 0.0

    @property
    def flops(self) -> float:
        """All operations."""
        return sum(self)

    @property
    def weighted(self) -> float:
        """The operations of a large matrix product that take as long."""
        return sum(WEIGHTS[name.replace('_', ' ')] * value
                   for name, value in self._asdict().items())

    def plus(self, other: 'Work') -> 'Work':
        """Sum by kind."""
        return Work(*map(sum, zip(self, other)))

    def every(self, interval: int) -> 'Work':
        """The share of one update, if this is done once in ``interval``."""
        return Work(*(value / interval for value in self))


def window_length(weight_of_new: float, tolerance: float) -> int | None:
    """Batches until the weight (1 - w)^K left out of a window is at most ``tolerance``.

    None if that takes more than `MAX_WINDOW`.
    """
    if weight_of_new >= 1.0:
        return 1
    if weight_of_new <= 0.0:
        return None
    length = math.ceil(math.log(tolerance) / math.log1p(-weight_of_new) - 1e-9)
    return max(1, length) if length <= MAX_WINDOW else None


def choose(layer: Layer, schedule: Schedule, *, rows_usable: bool = True,
           tolerance: float = 1e-7) -> Path:
    """The path of the least weighted work.

    Args:
        layer (Layer), schedule (Schedule): what there is to do.
        rows_usable (bool): whether the layer's rows are at hand after backpropagation; a
            convolution has too many.
        tolerance (float): weight that a window of rows may leave out of the running averages.
    """
    costs = path_costs(layer, schedule, rows_usable=rows_usable, tolerance=tolerance)
    return min(costs, key=lambda path: costs[path].weighted)


def path_costs(layer: Layer, schedule: Schedule, *, rows_usable: bool = True,
               tolerance: float = 1e-7) -> dict[Path, Work]:
    """The work of every path that is open, the simplest first; see `choose`."""
    paths = [Path(), Path(solve=True)]
    if rows_usable:
        paths += [path._replace(thin=True) for path in paths]
        window = window_length(schedule.weight_of_new, tolerance)
        if window is not None:
            paths += [
                Path(solve, rows_A, rows_G, window, thin)
                for thin in (True, False)
                for rows_A, rows_G in ((True, True), (True, False), (False, True))
                for solve in ((False, True) if not (rows_A and rows_G) else (False,))]
    return {path: work(path, layer, schedule) for path in paths}


def work(path: Path, layer: Layer, schedule: Schedule) -> Work:
    """Operations of an average update along ``path``, the gradient's forming left out."""
    N, n, m = layer
    held = path.window * N
    total = Work()
    for rows, dim in ((path.rows_A, m), (path.rows_G, n)):
        total = total.plus(_factor_work(rows, N, path.window, dim).every(schedule.factor_interval))
        total = total.plus(_inverse_work(rows, path.solve, held, dim).every(
            schedule.inverse_interval))
    if path.thin:
        return total.plus(_thin_work(path, layer, schedule))
    total = total.plus(_whole_work(path, held, n, m))
    return total if schedule.gradient_is_formed else total.plus(Work(product=2.0 * N * n * m))


def _factor_work(rows, N, window, dim):
    if not rows:
        return Work(symmetric_product=float(N) * dim ** 2)
    if window == 1:
        return Work(symmetric_product=float(N) ** 2 * dim)
    return Work(product=2.0 * N * window * N * dim)


def _inverse_work(rows, solve, held, dim):
    if rows:
        return Work(factor=held ** 3 / 3)
    if solve:
        return Work(factor=dim ** 3 / 3)
    return Work(factor=dim ** 3 / 3, inverse=2 * dim ** 3 / 3)


def _whole_work(path, held, n, m):
    """G_d^-1 D A_d^-1 of a whole matrix D."""
    if path.rows_A and path.rows_G and held <= n:
        return Work(product=8.0 * held * n * m + 4.0 * held ** 2 * m, solve=4.0 * held ** 2 * m)
    return _side_work(path.rows_A, path.solve, held, m, n).plus(
        _side_work(path.rows_G, path.solve, held, n, m))


def _side_work(rows, solve, held, dim, other):
    """F_d^-1 times a matrix of ``other`` columns."""
    if rows:
        return Work(product=4.0 * held * dim * other, solve=2.0 * held ** 2 * other)
    if solve:
        return Work(solve=2.0 * dim ** 2 * (other + READING['solve']))
    return Work(product=2.0 * dim ** 2 * (other + READING['product']))


def _thin_work(path, layer, schedule):
    """From the rows of a step: rows of both sides, their product, and the decay."""
    N, n, m = layer
    held = path.window * N
    fresh = schedule.factor_interval == schedule.inverse_interval == 1
    total = Work(product=2.0 * N * n * m)
    bare = fresh and path.window == 1
    if bare:
        total = total.plus(Work(
            solve=2.0 * N ** 2 * min(n, m) * (path.rows_A + path.rows_G)))
    for rows, dim in ((path.rows_A, m), (path.rows_G, n)):
        if rows and bare:
            continue
        if rows and fresh:
            total = total.plus(Work(product=2.0 * N * held * dim, solve=2.0 * held ** 2 * N))
        else:
            total = total.plus(_side_work(rows, path.solve, held, dim, N))
    if schedule.decay:
        total = total.plus(_whole_work(path, held, n, m))
        if fresh and path.rows_A and path.rows_G:
            total = total.plus(Work(product=-2.0 * N * n * m))      # it shares the gradient's
    return total
