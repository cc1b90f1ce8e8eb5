"""Which trials are hopeless: two rules over the losses after each epoch.

Curves are lists of losses, one an epoch, that begin with epoch 1. A rule compares best losses so
far, so that one bad epoch decides nothing.
"""
import statistics
from collections.abc import Iterable, Sequence

RULES = ('both', 'median', 'halving', 'none')

ENOUGH = 5
"""Finished trials that must have come as far before any rule speaks."""
REDUCTION = 3
"""Successive halving keeps one trial of that many at each rung."""


def verdict(curve: Sequence[float], others: Iterable[Sequence[float]], epochs: int,
            rule: str = 'both') -> str | None:
    """Why a trial should stop after the last epoch of its curve, or None.

    Args:
        curve (sequence of float): losses of the trial so far.
        others (iterable of sequences): losses of finished trials.
        epochs (int): length of an unpruned trial.
        rule (str): one of ``RULES``.
    """
    epoch = len(curve)
    if rule == 'none' or epoch >= epochs:
        return None
    best = min(curve)
    rivals = [min(other[:epoch]) for other in others if len(other) >= epoch]
    if len(rivals) < ENOUGH:
        return None
    if rule in ('both', 'median') and worse_than_median(best, rivals, epoch, epochs):
        return 'median'
    if rule in ('both', 'halving') and below_the_cut(best, rivals, epoch, epochs):
        return 'halving'
    return None


def worse_than_median(best: float, rivals: Sequence[float], epoch: int, epochs: int) -> bool:
    """Median stopping rule (Golovin et al., Google Vizier, 2017), after a fifth of the epochs."""
    return epoch >= epochs / 5 and best > statistics.median(rivals)


def below_the_cut(best: float, rivals: Sequence[float], epoch: int, epochs: int) -> bool:
    """Asynchronous successive halving (Li et al., arXiv:1810.05934): not in the best third."""
    if epoch not in rungs(epochs):
        return False
    kept = max(1, (len(rivals) + 1) // REDUCTION)
    return best > sorted([*rivals, best])[kept - 1]


def rungs(epochs: int) -> list[int]:
    """Epochs at which halving compares: a ninth of the length, then times three, up to half."""
    found, rung = [], max(1, epochs // REDUCTION**2)
    while rung <= epochs / 2:
        found.append(rung)
        rung *= REDUCTION
    return found


def saving(lengths: Iterable[tuple[int, bool]], epochs: int) -> tuple[int, int, int]:
    """What pruning saved.

    Args:
        lengths (iterable of (int, bool)): epochs of each finished trial, whether it was pruned.
        epochs (int): length of an unpruned trial.
    Returns:
        tuple: pruned trials, epochs saved, epochs that all trials would have taken.
    """
    lengths = list(lengths)
    pruned = [length for length, was_pruned in lengths if was_pruned]
    return len(pruned), sum(epochs - length for length in pruned), epochs * len(lengths)
