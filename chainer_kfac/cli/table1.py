"""``chainer-kfac table1``: train the nine cells of the paper's Table 1 and put them beside it."""
import argparse
import logging

from chainer_kfac.exceptions import ConfigError

logger = logging.getLogger(__name__)

EXAMPLE = """\
examples:
  chainer-kfac table1                                  what this machine can do in minutes
  chainer-kfac table1 --profile paper --seeds 3        the reproduction
  chainer-kfac table1 --profile short --optimizer kfac --batch 512 2048 --jobs 2
  chainer-kfac table1 --profile short --optimizer kfac ema_weighs=old variant=ema-old
  chainer-kfac table1 --collect                        tabulate what is there, train nothing
  chainer-kfac table1 --from results                   the results that came with the repository

The same command resumes what was interrupted and skips what is finished. The table is rewritten
after every run: table1.md, .csv, .tex and .json in ROOT/table1/<profile>/<dataset>/.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'table1', help="train the cells of the paper's Table 1 and tabulate them",
        description="Train the cells of the paper's Table 1 and put them beside its values.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--profile', default='auto', metavar='NAME',
                        help='paper, short, smoke or another one of experiments/profiles.yaml; '
                        'auto (the default) is paper with a GPU, else smoke')
    parser.add_argument('--dataset', metavar='NAME',
                        help='cifar10, the default, or digits; only the smoke profile takes digits '
                        'by itself where CIFAR-10 cannot be had')
    parser.add_argument('--optimizer', nargs='+', default=[], metavar='NAME',
                        help='only the cells of these optimizers: momentum_sgd, adam, kfac')
    parser.add_argument('--batch', nargs='+', default=[], type=_size, metavar='SIZE',
                        help='only the cells of these batch sizes: 128, 512, 2048')
    parser.add_argument('--seeds', type=int, default=1, metavar='N',
                        help='train seeds 0 to N-1 of each cell (default: %(default)s)')
    parser.add_argument('--jobs', type=int, default=1, metavar='N',
                        help='train N runs at a time, sharing the cores (default: %(default)s)')
    parser.add_argument('--hparams', default='table1', metavar='NAME',
                        help='file of cells, by path or by its name in experiments/; the variant '
                        "of its runs is the file's name (default: the paper's own, %(default)s)")
    parser.add_argument('--root', default='runs', help='folder of all runs (default: %(default)s)')
    parser.add_argument('--from', dest='source', choices=('runs', 'results'), default='runs',
                        help='results: show the tables of the committed results, train nothing')
    parser.add_argument('--collect', action='store_true',
                        help='tabulate the runs that are there, train nothing')
    parser.add_argument('--force', action='store_true', help='train finished runs again')
    parser.add_argument('overrides', nargs='*', metavar='key=value',
                        help='fields of every run; set variant=NAME too, so that these runs lie '
                        "beside the paper's cells")


def _size(text):
    if '=' in text:
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError('{!r} is no batch size'.format(text))
    return int(text)


def run(args):
    from chainer_kfac.analysis import table1, table1_text

    _give_back_overrides(args)
    if args.source == 'runs' and not args.collect:
        return _train(args)
    root = 'results' if args.source == 'results' else args.root
    profile = None if args.profile == 'auto' else args.profile
    for folder in table1.folders(root, profile, args.dataset):
        table = table1.build(folder) if args.source == 'results' else table1.write(folder)
        print(table1_text.summary(table))
    return 0


def _give_back_overrides(args):
    """A key=value that follows --optimizer or --batch was taken for one more name or size."""
    for name in ('optimizer', 'batch'):
        values = getattr(args, name)
        args.overrides += [value for value in values if '=' in str(value)]
        setattr(args, name, [value for value in values if '=' not in str(value)])


def _train(args):
    from chainer_kfac.analysis import table1, table1_text
    from chainer_kfac.sweeps import Sweep, devices, plan, profiles
    from chainer_kfac.training import run_directory

    for name in ('seeds', 'jobs'):  # before any data is fetched
        if getattr(args, name) < 1:
            raise ConfigError('--{} must be at least 1, got {}'.format(name, getattr(args, name)))
    profile = profiles.choose(args.profile, plan.all_profiles(), devices.gpus())
    chosen = plan.select(plan.load(args.hparams), args.optimizer, args.batch)
    dataset = profiles.dataset(args.dataset, profile)
    configs = plan.runs(chosen, profile, dataset, args.seeds, args.overrides)
    folder = run_directory.path(configs[0], args.root).parents[1]
    logger.info('Profile %s: %s. Data: %s. Runs: %d, %d at a time, in %s.', profile.name,
                profile.about, dataset, len(configs), args.jobs, folder)

    sweep = Sweep(configs, args.root, args.jobs, args.force, after=lambda: table1.write(folder))
    sweep.run()
    print(table1_text.summary(table1.write(folder)))
    logger.info('Written: %s.md, .csv, .tex and .json', folder / 'table1')
    for failure in sweep.failed:
        logger.error('failed: %s', failure)
    return 1 if sweep.failed else 0
