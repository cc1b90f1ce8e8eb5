"""What a trial may run: objectives, looked up by name.

The database names an objective and holds plain values; the code is that of the worker. A module
of this folder registers the objectives in it and is imported when one of them is first looked up.
"""
import importlib
from collections.abc import Mapping
from typing import Any

from chainer_kfac.exceptions import ConfigError

_MODULES = {'train': 'train', 'branin': 'functions', 'hartmann6': 'functions',
            'cliff': 'functions'}
_REGISTERED = {}


class Objective:
    """Something to minimise.

    Attributes:
        name (str): under which it is registered.
        protocol (str): changes when equal settings and values would give another loss.
    """

    name: str
    protocol: str

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise ConfigError for settings that cannot be used."""
        raise NotImplementedError

    def check_values(self, values: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Raise ConfigError for hyperparameters that cannot be used."""
        raise NotImplementedError

    def epochs(self, settings: Mapping[str, Any]) -> int:
        """How often an unpruned evaluation reports."""
        raise NotImplementedError

    def data(self, settings: Mapping[str, Any]) -> str | None:
        """Digest of the data it is evaluated on: all workers of a search must have the same."""
        return None

    def evaluate(self, values: Mapping[str, Any], settings: Mapping[str, Any],
                 progress) -> dict[str, Any]:
        """The loss, under ``loss``, with other plain values beside it.

        Calls ``progress.report(epoch, loss, ...)`` after each epoch, on every rank of an MPI job;
        what that raises ends the evaluation. ``progress.directory`` is the trial's folder, which
        may hold an earlier attempt; ``progress.device`` the worker's choice.
        """
        raise NotImplementedError


def register(name: str):
    """Class decorator that puts an objective under a name."""
    def decorate(cls):
        cls.name = name
        _REGISTERED[name] = cls()
        return cls
    return decorate


def find(name: str) -> Objective:
    """The objective of that name; raises ConfigError if there is none."""
    if name not in _REGISTERED and name in _MODULES:
        importlib.import_module('{}.{}'.format(__name__, _MODULES[name]))
    if name not in _REGISTERED:
        raise ConfigError('unknown objective {!r:.60}: known are {}'.format(
            name, ', '.join(sorted(_MODULES))))
    return _REGISTERED[name]
