"""Search spaces: what varies, between which bounds and with which prior.

A space is plain data (YAML in ``experiments/search/``, a document in the database). hyperopt's
expression graph is made from it only where a point is drawn.
"""
import dataclasses
import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training.config import read_mapping

FORMAT = 1
PRIORS = ('uniform', 'loguniform', 'quniform', 'qloguniform')
_NAME = re.compile(r'[a-z][a-z0-9_]{0,63}')
LARGEST = 1e12
"""Size above which no number of a space or of a document is taken for sane."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One hyperparameter.

    Attributes:
        name (str): key of ``RunConfig``.
        prior (str): one of ``PRIORS``; ``log`` is uniform in the logarithm, ``q`` rounds the draw
            to a multiple of ``q``.
        low (float), high (float): bounds of the value itself, also for a logarithmic prior.
        q (float or None): step; a whole one makes the value an int.
    """

    name: str
    prior: str
    low: float
    high: float
    q: float | None = None

    def __post_init__(self):
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError('a hyperparameter is named by lower-case letters, digits and _, got '
                              '{!r}'.format(self.name))
        if self.prior not in PRIORS:
            raise ConfigError('{}: the prior is one of {}, got {!r}'.format(
                self.name, ', '.join(PRIORS), self.prior))
        bounds = ('low', 'high', 'q') if self.quantised else ('low', 'high')
        for key in bounds:
            object.__setattr__(self, key, _number(self.name, key, getattr(self, key)))
        if not self.low < self.high:
            raise ConfigError('{}: low must be less than high, got {} and {}'.format(
                self.name, self.low, self.high))
        if self.logarithmic and self.low <= 0:
            raise ConfigError('{}: a logarithmic prior needs low > 0, got {}'.format(
                self.name, self.low))
        if self.quantised and self.q <= 0:
            raise ConfigError('{}: q must be > 0, got {}'.format(self.name, self.q))
        if not self.quantised and self.q is not None:
            raise ConfigError('{}: q belongs to quniform and qloguniform, not to {}'.format(
                self.name, self.prior))

    @property
    def logarithmic(self) -> bool:
        return self.prior in ('loguniform', 'qloguniform')

    @property
    def quantised(self) -> bool:
        return self.prior.startswith('q')

    def value(self, raw: float) -> float | int:
        """A value as configurations hold it: an int where the step is whole."""
        return int(round(raw)) if self.quantised and self.q.is_integer() else float(raw)

    def contains(self, value: Any) -> bool:
        """Whether a value is a number between the bounds, to rounding."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack

    def unit(self, value: float) -> float:
        """Where a value stands between the bounds, 0 to 1, on the scale of the prior."""
        if self.logarithmic:
            low, high, value = math.log(self.low), math.log(self.high), math.log(value)
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low)

    def expression(self):
        """The node of hyperopt's graph."""
        hp = require('hyperopt', 'the search').hp
        bounds = ((math.log(self.low), math.log(self.high)) if self.logarithmic
                  else (self.low, self.high))
        step = (self.q,) if self.quantised else ()
        return getattr(hp, self.prior)(self.name, *bounds, *step)


@dataclasses.dataclass(frozen=True)
class Space:
    """What a search varies.

    Attributes:
        dimensions (tuple of Dimension): in the order of the file.
        fixed (mapping): plain values that every trial has.
    """

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.dimensions]

    def without(self, pinned: Iterable[str]) -> 'Space':
        """The space without the hyperparameters whose value is given."""
        pinned = set(pinned)
        left = tuple(each for each in self.dimensions if each.name not in pinned)
        return Space(left, {key: value for key, value in self.fixed.items() if key not in pinned})

    def values(self, raw: Mapping[str, float]) -> dict[str, float | int]:
        """A drawn point as configuration values."""
        return {each.name: each.value(raw[each.name]) for each in self.dimensions}

    def complaint(self, values: Mapping[str, Any]) -> str | None:
        """What keeps a point from being one of this space, or None."""
        if set(values) != set(self.names):
            return 'it must set exactly {}'.format(', '.join(self.names))
        for each in self.dimensions:
            if not each.contains(values[each.name]):
                return '{} must be a number from {:g} to {:g}, got {!r:.60}'.format(
                    each.name, each.low, each.high, values[each.name])
        return None

    def expression(self) -> dict[str, Any]:
        """hyperopt's space."""
        return {each.name: each.expression() for each in self.dimensions}

    def document(self) -> list[dict[str, Any]]:
        """The dimensions as they stand in the database."""
        return [{key: value for key, value in dataclasses.asdict(each).items() if value is not None}
                for each in self.dimensions]

    @classmethod
    def from_document(cls, document: Any) -> 'Space':
        """The inverse of `document`; raises ConfigError for anything else."""
        if not isinstance(document, list) or not 1 <= len(document) <= 64:
            raise ConfigError('a space is a list of 1 to 64 hyperparameters')
        return cls(tuple(_dimension(None, entry) for entry in document))


def load(path: str | os.PathLike) -> Space:
    """Read a space from a YAML file: ``format``, ``parameters`` and perhaps ``fixed``.

    Raises:
        ConfigError: naming the file and the entry that cannot be used.
    """
    content = read_mapping(path)
    if content.pop('format', None) != FORMAT:
        raise ConfigError('{} must say format: {}'.format(path, FORMAT))
    parameters, fixed = content.pop('parameters', None), content.pop('fixed', None) or {}
    if content:
        raise ConfigError('{} has unknown keys: {}'.format(path, ', '.join(sorted(content))))
    if not isinstance(parameters, dict) or not parameters or not isinstance(fixed, dict):
        raise ConfigError('{} must hold a mapping "parameters", and may hold a mapping "fixed"'
                          .format(path))
    try:
        return Space(tuple(_dimension(name, entry) for name, entry in parameters.items()), fixed)
    except ConfigError as error:
        raise ConfigError('{} (in {})'.format(error, path)) from None


def _dimension(name, entry):
    if not isinstance(entry, Mapping):
        raise ConfigError('{!r:.60}: a hyperparameter needs prior, low and high'.format(name))
    fields = dict(entry) if name is None else {'name': name, **entry}
    try:
        return Dimension(**fields)
    except TypeError:
        raise ConfigError('{!r:.60} must have prior, low, high and for a q prior q, got {:.200}'
                          .format(fields.get('name'), ', '.join(map(str, entry)))) from None


def _number(name, key, value):
    try:
        number = float('nan') if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float('nan')
    if not abs(number) <= LARGEST:
        raise ConfigError('{}: {} must be a number, got {!r:.60}'.format(name, key, value))
    return number
