"""The cells of the batch-size study (``experiments/study.yaml``): found in Table 1 or between."""
import bisect
import dataclasses
import math
import operator
from collections.abc import Sequence

from chainer_kfac import resources
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.sweeps import plan
from chainer_kfac.sweeps.cells import Cell, read
from chainer_kfac.training.config import RunConfig

EXPERIMENT = 'study'
_KEYS = {'format', 'batch_sizes', 'interpolate'}
_NAMES = {'batch_size', 'experiment', 'variant'}
_INTEGERS = ('lr_decay_epoch',)


class NotJoined(ConfigError):
    """Two cells that nothing lies between."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a cell between two others gets its hyperparameters.

    Attributes:
        value (tuple of str): fields h whose log h is linear in log2(batch size).
        rest_to_one (tuple of str): those whose log(1 - h) is.
    """

    value: tuple[str, ...]
    rest_to_one: tuple[str, ...]

    def between(self, lower: Cell, upper: Cell, batch_size: int) -> Cell:
        """The cell at a batch size between those of two cells of one optimizer.

        With t = log2(batch_size / lower) / log2(upper / lower), a field of ``value`` is
        h = lower^(1 - t) upper^t, one of ``rest_to_one`` the same for 1 - h; h is interpolated
        linearly where one end of that has no logarithm, and kept where the ends are equal.

        Returns:
            Cell: its experiment is ``study``; its variant is that of its neighbours, and where
            they differ that of the one that is not the paper's.
        Raises:
            NotJoined: if the neighbours differ in a field that has no rule.
        """
        t = (math.log2(batch_size / lower.batch_size)
             / math.log2(upper.batch_size / lower.batch_size))
        settings = {**lower.settings, 'batch_size': batch_size, 'experiment': EXPERIMENT,
                    'variant': upper.variant or lower.variant}
        neighbours = _complete(lower), _complete(upper)
        for field in sorted({*lower.settings, *upper.settings} - _NAMES):
            low, high = (neighbour[field] for neighbour in neighbours)
            settings[field] = low if low == high else self._field(
                field, low, high, t, '{} {}'.format(lower.optimizer, batch_size))
        return Cell(settings, between=(lower.batch_size, upper.batch_size))

    def _field(self, field, low, high, t, name):
        if None in (low, high) or field not in self.value + self.rest_to_one:
            raise NotJoined('{} cannot be interpolated: {} is {!r} in one of its neighbours and '
                            '{!r} in the other; give it a cell of its own'.format(
                                name, field, low, high))
        if field in self.rest_to_one:
            found = 1 - _line(1 - low, 1 - high, t)
        else:
            found = _line(low, high, t)
        return round(found) if field in _INTEGERS else float('{:.6g}'.format(found))


def _complete(cell):
    """The fields of a cell with the defaults of those that it leaves out."""
    return dataclasses.asdict(RunConfig.parse({'epochs': 1, **cell.settings}))


def _line(low, high, t):
    if min(low, high) <= 0:
        return (1 - t) * low + t * high
    return math.exp((1 - t) * math.log(low) + t * math.log(high))


def load(hparams: str = plan.PAPER) -> list[Cell]:
    """The cells of the study, optimizer by optimizer, batch sizes ascending.

    Args:
        hparams (str): file of cells that go before the paper's, as for ``plan.load``.
    Raises:
        ConfigError: if a file is not as it should be, ``hparams`` holds two cells for one
            optimizer and batch size, or one of the study has no neighbour on a side.
    """
    batch_sizes, rule = _read()
    paper = {(cell.optimizer, cell.batch_size): cell for cell in plan.load(plan.PAPER)}
    known = paper if hparams == plan.PAPER else {**paper, **_others(hparams)}
    optimizers = dict.fromkeys(optimizer for optimizer, _ in known)
    return [known.get((optimizer, batch_size))
            or _interpolate(known, paper, optimizer, batch_size, rule)
            for optimizer in optimizers for batch_size in batch_sizes]


def _read():
    path = resources.find('experiments/study.yaml')
    content = read(path)
    if set(content) != _KEYS:
        raise ConfigError('{} must hold {}, got {}'.format(
            path, ', '.join(sorted(_KEYS)), ', '.join(sorted(content))))
    try:
        rule = Rule(**{key: tuple(names) for key, names in content['interpolate'].items()})
        return sorted(map(operator.index, content['batch_sizes'])), rule
    except (AttributeError, TypeError) as error:
        raise ConfigError('{} must hold batch_sizes, a list of numbers, and under interpolate two '
                          'lists of fields, value and rest_to_one'.format(path)) from error


def _others(hparams) -> dict[tuple[str, int], Cell]:
    found = {}
    for cell in plan.load(hparams):
        key = cell.optimizer, cell.batch_size
        if key in found:
            raise ConfigError('{} holds two cells for {} {}: a study takes one'.format(
                plan.cells_file(hparams), *key))
        found[key] = cell
    return found


def _interpolate(known, paper, optimizer, batch_size, rule):
    """Between its neighbours, or where those cannot be joined between the paper's own."""
    try:
        return rule.between(*_neighbours(known, optimizer, batch_size), batch_size)
    except NotJoined:
        return rule.between(*_neighbours(paper, optimizer, batch_size), batch_size)


def _neighbours(known, optimizer, batch_size):
    sizes: Sequence[int] = sorted(size for name, size in known if name == optimizer)
    above = bisect.bisect(sizes, batch_size)
    if not 0 < above < len(sizes):
        raise ConfigError('{} {} cannot be interpolated: there is no cell on each side of it, only '
                          '{}'.format(optimizer, batch_size, ', '.join(map(str, sizes))))
    return known[optimizer, sizes[above - 1]], known[optimizer, sizes[above]]
