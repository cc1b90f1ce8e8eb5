"""Cells: what a sweep trains, read from a file such as ``experiments/table1.yaml``.

A cell is an optimizer at one batch size with its hyperparameters, and the paper's accuracy if the
paper has that cell.  How long and on what it is trained is the business of a profile.
"""
import dataclasses

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import fields
from chainer_kfac.training.config import RunConfig, read_mapping

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        settings (dict): fields of ``RunConfig``, without those that a profile or a seed sets.
        val_acc (float or None): the paper's validation accuracy, a fraction.
        between ((int, int) or None): batch sizes of the two cells that it was interpolated from.
    """

    settings: dict
    val_acc: float | None = None
    between: tuple[int, int] | None = None

    @property
    def optimizer(self) -> str:
        return self.settings['optimizer']

    @property
    def batch_size(self) -> int:
        return self.settings['batch_size']

    @property
    def variant(self) -> str:
        return self.settings.get('variant') or ''


def load(path) -> list[Cell]:
    """Read a file of cells.

    Top-level keys other than ``format`` and ``cells`` are fields that all of its cells share.

    Raises:
        ConfigError: if the file cannot be read, names an unknown field, has a value that a field
            does not accept, holds no cell, or holds two cells for one optimizer, batch size and
            variant.
    """
    content = read(path)
    shared = {key: value for key, value in content.items() if key not in ('format', 'cells')}
    entries = content.get('cells')
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError('{} must hold a list of cells under "cells"'.format(path))
    cells = [_cell({**shared, **entry}, path) for entry in entries]
    names = [(cell.optimizer, cell.batch_size, cell.settings.get('variant')) for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError('{} holds the cell {} {} twice'.format(path, *name[:2]))
    return cells


def read(path) -> dict:
    """A YAML file of this package's ``format``: one mapping.

    Raises:
        ConfigError: if it cannot be read, is no mapping or is of another format.
    """
    content = read_mapping(path)
    if content.get('format') != FORMAT:
        raise ConfigError('{} has format {!r}, this version of chainer_kfac reads {}'.format(
            path, content.get('format'), FORMAT))
    return content


def _cell(settings, path):
    val_acc = settings.pop('val_acc', None)
    kinds = fields.kinds(RunConfig)
    unknown = sorted(set(settings) - set(kinds))
    if unknown:
        raise ConfigError('{} has unknown fields: {}'.format(path, ', '.join(unknown)))
    settings = fields.checked(kinds, settings, path)
    for name in ('optimizer', 'batch_size'):
        if name not in settings:
            raise ConfigError('{} has a cell without "{}"'.format(path, name))
    return Cell(settings, val_acc)
