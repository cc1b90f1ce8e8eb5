"""Which tables a benchmark makes: those that are kept in this folder, or any others."""
from typing import NamedTuple

from benchmarks import rows


class Table(NamedTuple):
    """One combination: all rows take turns ``rounds`` times; ``threads`` is None on a GPU."""

    batch: int
    threads: int | None
    rounds: int
    names: list[str]


def standard(names=None) -> list[Table]:
    """The tables that docs/performance.md speaks of, about ten minutes on two cores.

    Large batches and one thread go without the rows that would take most of the time.

    Args:
        names (list of str or None): only these rows.
    """
    costly = {'K-FAC 10/100, weight decay', 'Chainer Adam'}
    slow = costly | {'K-FAC 10/100', 'Chainer SGD'}
    return [Table(batch, threads, rounds, [
        name for name in names or rows.NAMES if name not in without])
        for batch, threads, rounds, without in (
            (128, 1, 7, costly), (128, 2, 12, set()), (512, 2, 3, costly), (2048, 2, 3, slow))]


def product(batches: list[int], threads: list[int | None], rounds: int, names) -> list[Table]:
    """Every combination; ``rounds`` at the smallest batch, fewer at larger ones, at least three."""
    return [Table(batch, count, max(3, rounds * min(batches) // batch), list(names))
            for count in threads for batch in batches]
