"""Kinds of configuration fields: what each accepts, read from YAML, Python or a command line."""
import dataclasses
import difflib
import math
import numbers
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from chainer_kfac.exceptions import ConfigError

OPTIMIZERS = ('momentum_sgd', 'adam', 'kfac')
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')


class FieldError(ConfigError):
    """A value that its field does not accept: ``key`` names the field, ``sentence`` goes on."""

    def __init__(self, key: str, sentence: str):
        super().__init__('{} {}'.format(key, sentence))
        self.key = key
        self.sentence = sentence


@dataclasses.dataclass(frozen=True)
class Kind:
    """What one field accepts.

    Attributes:
        wants (str): ends the sentence '<key> must be ...'.
        accept (callable): returns the value in its own type, or raises ``ValueError``.
        optional (bool): whether None is a value.
        textual (bool): whether a command line's text is the value, without reading it as YAML.
        optimizers (collection of str): the optimizers that have this field; None means all.
        filled (object): what None becomes when the optimizer has the field.
    """

    wants: str
    accept: Callable[[Any], Any]
    optional: bool = False
    textual: bool = False
    optimizers: Collection[str] | None = None
    filled: Any = None

    def check(self, key, value):
        """The value as the field stores it; raises FieldError."""
        if value is None and self.optional:
            return None
        try:
            return self.accept(value)
        except (TypeError, ValueError, OverflowError):
            wants = self.wants + (' or null' if self.optional else '')
            raise FieldError(key, 'must be {}, got {!r}'.format(wants, value)) from None


def number(at_least=None, above=None, at_most=None, below=None):
    """Kind of a finite real number; text such as '1e-3', which YAML leaves as text, is read too."""
    bounds = [('>= ', at_least), ('> ', above), ('<= ', at_most), ('< ', below)]
    said = ' and '.join(sign + str(bound) for sign, bound in bounds if bound is not None)

    def accept(value):
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
            raise ValueError(value)
        value = float(value)
        if not (math.isfinite(value)
                and (at_least is None or value >= at_least) and (above is None or value > above)
                and (at_most is None or value <= at_most) and (below is None or value < below)):
            raise ValueError(value)
        return value
    return Kind(wants='a number ' + said, accept=accept)


def integer(at_least, at_most=2**31 - 1):
    """Kind of a whole number."""
    def accept(value):
        if isinstance(value, bool) or not at_least <= operator.index(value) <= at_most:
            raise ValueError(value)
        return operator.index(value)
    return Kind(wants='a whole number from {} to {}'.format(at_least, at_most), accept=accept)


def integers(at_least):
    """Kind of one or several whole numbers, kept as a sorted tuple without repetitions."""
    each = integer(at_least)

    def accept(value):
        values = value if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise ValueError(value)
        return tuple(sorted({each.accept(one) for one in values}))
    return Kind(wants='a list of whole numbers from {}, as in [1, 20]'.format(at_least),
                accept=accept)


def choice(*options):
    """Kind of one word out of a few."""
    def accept(value):
        if not isinstance(value, str) or value not in options:
            raise ValueError(value)
        return value
    return Kind(wants='one of ' + ', '.join(options), accept=accept, textual=True)


def name(empty=False):
    """Kind of a text that can stand in a path: it never leaves the folder or hides in it."""
    def accept(value):
        if not isinstance(value, str) or len(value) > 100:
            raise ValueError(value)
        if not (_NAME.fullmatch(value) or (empty and value == '')):
            raise ValueError(value)
        return value
    return Kind(wants='a name of letters, digits, ".", "_" and "-"', accept=accept, textual=True)


def switch():
    """Kind of yes or no."""
    def accept(value):
        if not isinstance(value, bool):
            raise ValueError(value)
        return value
    return Kind(wants='true or false', accept=accept)


def device():
    """Kind of 'auto', -1 (CPU) or the number of a GPU."""
    def accept(value):
        if value == 'auto':
            return value
        return integer(-1, 1023).accept(value)
    return Kind(wants='auto, -1 for the CPU or the number of a GPU', accept=accept)


def field(kind: Kind, default: Any = dataclasses.MISSING):
    """A dataclass field of a kind that every optimizer has."""
    return dataclasses.field(default=default, metadata={'kind': kind})


def optional(kind: Kind):
    """A dataclass field that may stay None."""
    return field(dataclasses.replace(kind, optional=True), None)


def of(optimizers: str, kind: Kind, filled: Any = None):
    """A dataclass field that only some optimizers have: None elsewhere, ``filled`` when absent."""
    kind = dataclasses.replace(kind, optional=True, filled=filled,
                               optimizers=tuple(optimizers.split()))
    return field(kind, None)


def kinds(config_class) -> dict[str, Kind]:
    """The kind of each field of a configuration, by its name."""
    return {each.name: each.metadata['kind'] for each in dataclasses.fields(config_class)}


def checked(kinds: Mapping[str, Kind], values: Mapping[str, Any], place) -> dict[str, Any]:
    """Values as their fields store them.

    Raises:
        FieldError: of the first that its field does not accept, naming the place.
    """
    try:
        return {key: kinds[key].check(key, value) for key, value in values.items()}
    except FieldError as error:
        raise FieldError(error.key, '{} (in {})'.format(error.sentence, place)) from None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The close names as a question to end a sentence with, or ''."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return '; did you mean {}?'.format(close[0]) if close else ''


def of_optimizer(config_class, optimizer: str) -> list[str]:
    """Names of the fields that this optimizer has and not every other."""
    return [each.name for each in dataclasses.fields(config_class)
            if optimizer in (each.metadata['kind'].optimizers or ())]
