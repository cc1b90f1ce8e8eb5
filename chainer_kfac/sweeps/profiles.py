"""Profiles: how long and on what a sweep trains (``experiments/profiles.yaml``)."""
import dataclasses
import logging

from chainer_kfac import datasets
from chainer_kfac.exceptions import ConfigError, DataError
from chainer_kfac.sweeps import cells
from chainer_kfac.training import fields
from chainer_kfac.training.config import RunConfig

logger = logging.getLogger(__name__)

DATASET = 'cifar10'
"""The paper's data set."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """One profile; the fields up to ``test_size`` are those of ``RunConfig``.

    Attributes:
        lr_decay_epoch_scale (float): factor on each cell's ``lr_decay_epoch``.
        stand_in (str or None): data set that may take the place of CIFAR-10 where that is missing.
        about (str): one line for the reader.
    """

    name: str
    epochs: int
    min_updates: int = 0
    train_size: int | None = None
    test_size: int | None = None
    lr_decay_epoch_scale: float = 1.0
    stand_in: str | None = None
    about: str = ''

    def apply(self, settings) -> dict:
        """The fields of a cell together with those of the profile.

        Args:
            settings (dict): a cell's; what it sets itself wins over the profile.
        Returns:
            dict: new; ``lr_decay_epoch`` is scaled, rounded, and at least 1.
        """
        applied = {'profile': self.name, 'epochs': self.epochs, 'min_updates': self.min_updates,
                   'train_size': self.train_size, 'test_size': self.test_size, **settings}
        if applied.get('lr_decay_epoch') is not None:
            applied['lr_decay_epoch'] = max(
                1, round(applied['lr_decay_epoch'] * self.lr_decay_epoch_scale))
        return applied


def load(path) -> dict:
    """Read profiles by name.

    Raises:
        ConfigError: if the file cannot be read, or a profile has an unknown or a missing key, or
            a value that cannot be.
    """
    entries = cells.read(path).get('profiles')
    if not isinstance(entries, dict):
        raise ConfigError('{} must hold a mapping under "profiles"'.format(path))
    return {name: _profile(name, entry, 'profile {} of {}'.format(name, path))
            for name, entry in entries.items()}


def _profile(name, entry, place):
    kinds = {**fields.kinds(RunConfig), 'lr_decay_epoch_scale': fields.number(above=0)}
    known = [each.name for each in dataclasses.fields(Profile) if each.name != 'name']
    if not isinstance(entry, dict) or 'epochs' not in entry:
        raise ConfigError('{} must be a mapping with "epochs", got {!r}'.format(place, entry))
    for key in entry:
        if key not in known:
            raise ConfigError('unknown key {} (in {}){}'.format(
                key, place, fields.did_you_mean(key, known)))
    texts = {key: str(entry[key]) for key in ('stand_in', 'about') if entry.get(key) is not None}
    numbers = {key: value for key, value in entry.items() if key not in ('stand_in', 'about')}
    return Profile(name, **fields.checked(kinds, numbers, place), **texts)


def choose(name, profiles, gpus) -> Profile:
    """The profile of that name; ``'auto'`` is ``paper`` with a GPU, else ``smoke``.

    Args:
        name (str): as the user gave it.
        profiles (dict): from ``load``.
        gpus (int): number of GPUs that can be used.
    Raises:
        ConfigError: if there is no such profile.
    """
    if name == 'auto':
        name = 'paper' if gpus else 'smoke'
    if name not in profiles:
        raise ConfigError('unknown profile {!r}: choose auto, {}'.format(name, ', '.join(profiles)))
    return profiles[name]


def dataset(name, profile) -> str:
    """The data set to train on, checked (and downloaded if need be) before any run starts.

    Args:
        name (str or None): as the user gave it; ``None`` is CIFAR-10, or the profile's stand-in
            where CIFAR-10 cannot be had, with a warning.
        profile (Profile): the profile.
    Raises:
        DataError: if the data set is missing or damaged and nothing may stand in for it.
    """
    try:
        datasets.load(name or DATASET, profile.train_size, profile.test_size)
        return name or DATASET
    except DataError as error:
        if name is not None or profile.stand_in is None:
            raise
        logger.warning('Stand-in data: the %s profile trains on %s instead of CIFAR-10, because '
                       'CIFAR-10 could not be had: %s', profile.name, profile.stand_in, error)
        datasets.load(profile.stand_in, profile.train_size, profile.test_size)
        return profile.stand_in
