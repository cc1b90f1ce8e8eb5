"""``chainer-kfac study``: train each optimizer at batch sizes that double from 128 to 2048."""
import argparse
import pathlib

from chainer_kfac.cli import sweeping
from chainer_kfac.exceptions import ConfigError

EXAMPLE = """\
examples:
  chainer-kfac study                                   what this machine can do in minutes
  chainer-kfac study --profile paper --seeds 3         the reproduction
  chainer-kfac study --profile short --optimizer kfac --batch 256 1024 --jobs 2
  chainer-kfac study --hparams tuned                   tuned cells where there are some
  chainer-kfac study --collect                         tabulate what is there, train nothing
  chainer-kfac study --from results                    the results that came with the repository

Batch sizes of Table 1 are runs of Table 1: those that "chainer-kfac table1" has finished are not
trained again. The others have interpolated hyperparameters; experiments/study.yaml has the rule.
The same command resumes what was interrupted. The tables are rewritten after every run: study.md,
.json and .csv, which has the curves, in ROOT/study/<profile>/<dataset>/. "chainer-kfac figure2"
draws them, also while the study goes on.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'study', help='train each optimizer at batch sizes from 128 to 2048',
        description="The paper's second experiment: accuracy as the batch size doubles.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    sweeping.add_flags(
        parser, batch_sizes='128, 256, 512, 1024, 2048',
        hparams='file of cells, by path or by its name in experiments/, that go before those of '
        'the paper (default: no other than the paper\'s, %(default)s)')


def run(args):
    from chainer_kfac.analysis import runs, study, study_text
    from chainer_kfac.sweeps import study as cells

    shows_only = sweeping.shows_only(args)
    _refuse_variant(args.overrides)
    if not shows_only:
        return sweeping.train(args, cells.load, lambda *place: _tabulate(args, *place))
    root, profile = sweeping.shown(args)
    for place in runs.places(root, study.EXPERIMENTS, profile, args.dataset):
        read = study.collect if args.source == 'results' else _write
        print(study_text.summary(read(root, *place, args.hparams).table))
    return 0


def _refuse_variant(overrides):
    for override in overrides:
        if override.startswith('variant='):
            raise ConfigError('a study of another variant is a file of cells, which is named with '
                              '--hparams, and not {}'.format(override))


def _tabulate(args, profile, dataset):
    """The tables of the study, and that of Table 1, whose runs some of them are."""
    from chainer_kfac.analysis import study, study_text, table1

    table1.write(pathlib.Path(args.root, table1.EXPERIMENT, profile, dataset))
    found, written = study.write(args.root, profile, dataset, args.hparams)
    return study_text.summary(found.table), written[0]


def _write(root, profile, dataset, hparams):
    from chainer_kfac.analysis import study

    return study.write(root, profile, dataset, hparams)[0]
