"""``chainer-kfac table1``: train the nine cells of the paper's Table 1 and put them beside it."""
import argparse
import pathlib

from chainer_kfac.cli import sweeping

EXAMPLE = """\
examples:
  chainer-kfac table1                                  what this machine can do in minutes
  chainer-kfac table1 --profile paper --seeds 3        the reproduction
  chainer-kfac table1 --profile short --optimizer kfac --batch 512 2048 --jobs 2
  chainer-kfac table1 --profile short --optimizer kfac ema_weighs=old variant=ema-old
  chainer-kfac table1 --collect                        tabulate what is there, train nothing
  chainer-kfac table1 --from results                   the results that came with the repository

Set variant=NAME with any other key=value, so that these runs lie beside the paper's cells.
The same command resumes what was interrupted and skips what is finished. The table is rewritten
after every run: table1.md, .csv, .tex and .json in ROOT/table1/<profile>/<dataset>/.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'table1', help="train the cells of the paper's Table 1 and tabulate them",
        description="Train the cells of the paper's Table 1 and put them beside its values.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    sweeping.add_flags(
        parser, batch_sizes='128, 512, 2048',
        hparams='file of cells, by path or by its name in experiments/; the variant of its runs '
        "is the file's name (default: the paper's own, %(default)s)")


def run(args):
    from chainer_kfac.analysis import table1, table1_text
    from chainer_kfac.sweeps import plan

    if not sweeping.shows_only(args):
        return sweeping.train(args, plan.load, lambda *place: _tabulate(args.root, *place))
    root, profile = sweeping.shown(args)
    for folder in table1.folders(root, profile, args.dataset):
        table = table1.build(folder) if args.source == 'results' else table1.write(folder)
        print(table1_text.summary(table))
    return 0


def _tabulate(root, profile, dataset):
    from chainer_kfac.analysis import table1, table1_text

    folder = pathlib.Path(root, table1.EXPERIMENT, profile, dataset)
    return table1_text.summary(table1.write(folder)), folder / 'table1.md'
