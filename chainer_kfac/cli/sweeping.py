"""What the commands that train a sweep have in common: their flags, and from those to the runs."""
from __future__ import annotations

import argparse
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chainer_kfac.exceptions import ConfigError

if TYPE_CHECKING:  # a command's help is given without importing the rooms
    from chainer_kfac.sweeps.cells import Cell

logger = logging.getLogger(__name__)


def add_flags(parser: argparse.ArgumentParser, batch_sizes: str, hparams: str) -> None:
    """Add the flags that say what is trained, how often, and where it lies.

    Args:
        parser (argparse.ArgumentParser): of the command.
        batch_sizes (str): those of its cells, for the help.
        hparams (str): what ``--hparams`` means to it, for the help.
    """
    parser.add_argument('--profile', default='auto', metavar='NAME',
                        help='paper, short, smoke or another one of experiments/profiles.yaml; '
                        'auto (the default) is paper with a GPU, else smoke')
    parser.add_argument('--dataset', metavar='NAME',
                        help='cifar10, the default, or digits; only the smoke profile takes digits '
                        'by itself where CIFAR-10 cannot be had')
    parser.add_argument('--optimizer', nargs='+', default=[], metavar='NAME',
                        help='only the cells of these optimizers: momentum_sgd, adam, kfac')
    parser.add_argument('--batch', nargs='+', default=[], type=size, metavar='SIZE',
                        help='only the cells of these batch sizes: ' + batch_sizes)
    parser.add_argument('--seeds', type=int, default=1, metavar='N',
                        help='train seeds 0 to N-1 of each cell (default: %(default)s)')
    parser.add_argument('--jobs', type=int, default=1, metavar='N',
                        help='train N runs at a time, sharing the cores (default: %(default)s)')
    parser.add_argument('--mpi', type=int, default=1, metavar='N',
                        help='train each run in N processes under mpirun (default: %(default)s)')
    parser.add_argument('--hparams', default='table1', metavar='NAME', help=hparams)
    parser.add_argument('--root', default='runs', help='folder of all runs (default: %(default)s)')
    parser.add_argument('--from', dest='source', choices=('runs', 'results'), default='runs',
                        help='results: show the tables of the committed results, train nothing')
    parser.add_argument('--collect', action='store_true',
                        help='tabulate the runs that are there, train nothing')
    parser.add_argument('--force', action='store_true',
                        help='discard what there is of the runs and train them anew')
    parser.add_argument('overrides', nargs='*', metavar='key=value', help='fields of every run')


def size(text: str) -> int | str:
    """A batch size; a key=value that follows one is left for `give_back_overrides`."""
    if '=' in text:
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError('{!r} is no batch size'.format(text))
    return int(text)


def shows_only(args: argparse.Namespace) -> bool:
    """Whether the command is to train nothing; ``args.overrides`` is complete afterwards.

    Raises:
        ConfigError: if it is also told what to train.
    """
    give_back_overrides(args)
    if args.source != 'results' and not args.collect:
        return False
    shows = '--collect' if args.collect else '--from results'
    told = [*args.overrides, *('--' + name for name in ('optimizer', 'batch', 'force')
                               if getattr(args, name))]
    if told:
        raise ConfigError('{} is about training, and {} trains nothing: leave out one of them'
                          .format(told[0], shows))
    return True


def root_shown(args: argparse.Namespace) -> str:
    """The folder of the runs to show.

    Raises:
        ConfigError: if ``--from results`` and another folder are given.
    """
    if args.source != 'results':
        return args.root
    if args.root != 'runs':
        raise ConfigError('--from results shows the folder results, and --root names {}: for the '
                          'runs there leave out --from'.format(args.root))
    return 'results'


def shown(args: argparse.Namespace) -> tuple[str, str | None]:
    """The folder of the runs to show, and the profile if only one was asked for."""
    return root_shown(args), None if args.profile == 'auto' else args.profile


def give_back_overrides(args: argparse.Namespace) -> None:
    """A key=value that follows --optimizer or --batch was taken for one more name or size."""
    for name in ('optimizer', 'batch'):
        values = getattr(args, name)
        args.overrides += [value for value in values if '=' in str(value)]
        setattr(args, name, [value for value in values if '=' not in str(value)])


def train(args: argparse.Namespace, load: Callable[[str], Sequence[Cell]],
          tabulate: Callable[[str, str], tuple[str, pathlib.Path]]) -> int:
    """Train what the flags say: each run in processes of its own, or all in the ranks of this job.

    Args:
        args (argparse.Namespace): the flags of ``add_flags``.
        load (callable): from the value of ``--hparams`` to the cells of the sweep.
        tabulate (callable): writes the tables of a profile and a data set and returns a summary
            and where the whole is; called whenever a run has ended.
    Returns:
        int: the exit code.
    Raises:
        ConfigError: for a flag that cannot be, before any data is fetched.
    """
    from chainer_kfac.communicators import world

    for name in ('seeds', 'jobs', 'mpi'):
        if getattr(args, name) < 1:
            raise ConfigError('--{} must be at least 1, got {}'.format(name, getattr(args, name)))
    with world.joined() as ranks:
        from chainer_kfac.sweeps import SharedSweep, Sweep  # after the threads of a rank are set

        configs, place = ranks.first(_plan, args, load, ranks.size)
        if ranks.size > 1:
            sweep = SharedSweep(ranks, configs, args.root, args.force, lambda: tabulate(*place))
        else:
            sweep = Sweep(configs, args.root, args.jobs, args.force, lambda: tabulate(*place),
                          ranks=args.mpi)
        sweep.run()
        ranks.first(_report, sweep, tabulate, place)
    return 1 if sweep.failed else 0


def _plan(args, load, size):
    """The runs, and the profile and data set of their tables."""
    from chainer_kfac.sweeps import devices, plan, profiles
    from chainer_kfac.training import run_directory

    if size > 1 and args.jobs * args.mpi > 1:
        raise ConfigError('--jobs and --mpi start processes, and this command is {} ranks itself: '
                          'leave them out'.format(size))
    profile = profiles.choose(args.profile, plan.all_profiles(), devices.gpus())
    chosen = plan.select(load(args.hparams), args.optimizer, args.batch)
    dataset = profiles.dataset(args.dataset, profile)
    configs = plan.runs(chosen, profile, dataset, args.seeds, args.overrides)
    folders = {run_directory.path(config, args.root).parents[1] for config in configs}
    logger.info('Profile %s: %s. Data: %s. Runs: %d, %d at a time%s, in %s.', profile.name,
                profile.about, dataset, len(configs), args.jobs,
                ' on {} ranks'.format(size * args.mpi) if size * args.mpi > 1 else '',
                ' and '.join(sorted(map(str, folders))))
    return configs, (profile.name, dataset)


def _report(sweep, tabulate, place):
    summary, written = tabulate(*place)
    print(summary)
    logger.info('Written: %s and its other formats', written)
    for failure in sweep.failed:
        logger.error('failed: %s', failure)
