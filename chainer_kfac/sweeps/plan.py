"""From cells, a profile and seeds to the runs of a sweep, in the order in which they start."""
import dataclasses
import pathlib

from chainer_kfac import resources
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.sweeps import cells, profiles
from chainer_kfac.training.config import RunConfig

PAPER = 'table1'
"""Name of the file that holds the paper's own cells."""

_FLAGS = {'optimizer': '--optimizer', 'batch_size': '--batch', 'seed': '--seeds',
          'dataset': '--dataset', 'profile': '--profile', 'experiment': '--root'}


def all_profiles() -> dict:
    """The profiles of ``experiments/profiles.yaml`` by name."""
    return profiles.load(resources.find('experiments/profiles.yaml'))


def cells_file(name) -> pathlib.Path:
    """The file of cells of that name in ``experiments/``, or the file itself if it is a path."""
    if name.endswith('.yaml'):
        return pathlib.Path(name)
    return resources.find('experiments/{}.yaml'.format(name))


def load(name) -> list[cells.Cell]:
    """The cells of a file; those that are not the paper's own get its name as their variant.

    Args:
        name (str): as for ``cells_file``.
    """
    path = cells_file(name)
    if path.stem == PAPER:
        return cells.load(path)
    return [dataclasses.replace(cell, settings={'variant': path.stem, **cell.settings,
                                                'experiment': PAPER})
            for cell in cells.load(path)]


def runs(chosen, profile, dataset, seeds=1, overrides=()) -> list[RunConfig]:
    """The runs of a sweep: all cells with seed 0, then all with seed 1, and so on.

    Args:
        chosen (list of Cell): the cells.
        profile (Profile): how long and on what.
        dataset (str): name of the data set.
        seeds (int): number of seeds.
        overrides (sequence of str): ``key=value`` for every run, winning over cell and profile.
    Raises:
        ConfigError: if a field has a value that it cannot have, an override names what a flag
            decides, or ``seeds`` is less than 1.
    """
    if seeds < 1:
        raise ConfigError('the number of seeds must be at least 1, got {}'.format(seeds))
    for override in overrides:
        key = override.partition('=')[0]
        if key in _FLAGS:
            raise ConfigError('{} is set with {}, not as {}'.format(key, _FLAGS[key], override))
    return [RunConfig.parse({**profile.apply(cell.settings), 'dataset': dataset, 'seed': seed},
                            overrides, place='the cell {} {}'.format(
                                cell.optimizer, cell.batch_size))
            for seed in range(seeds) for cell in chosen]


def select(all_cells, optimizers=(), batch_sizes=()) -> list[cells.Cell]:
    """The cells of some optimizers and batch sizes; of all where nothing is named.

    Raises:
        ConfigError: if a name or size fits no cell, or the two together leave none.
    """
    for what, wanted, known in (
            ('optimizer', optimizers, [cell.optimizer for cell in all_cells]),
            ('batch size', batch_sizes, [cell.batch_size for cell in all_cells])):
        for value in wanted:
            if value not in known:
                raise ConfigError('no cell has {} {}: choose from {}'.format(
                    what, value, ', '.join(map(str, dict.fromkeys(known)))))
    chosen = [cell for cell in all_cells
              if (not optimizers or cell.optimizer in optimizers)
              and (not batch_sizes or cell.batch_size in batch_sizes)]
    if not chosen:
        raise ConfigError('no cell has both one of these optimizers and one of these batch sizes')
    return chosen


def paper() -> list[tuple[cells.Cell, dict]]:
    """Each cell of the paper with its ``RunConfig`` under the ``paper`` profile as a dictionary."""
    chosen = load(PAPER)
    configs = runs(chosen, all_profiles()['paper'], profiles.DATASET)
    return list(zip(chosen, map(dataclasses.asdict, configs), strict=True))
