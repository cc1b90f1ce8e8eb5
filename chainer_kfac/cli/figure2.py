"""``chainer-kfac figure2``: draw the paper's Figure 2 and the batch-size study."""
import argparse

from chainer_kfac.cli import sweeping

EXAMPLE = """\
examples:
  chainer-kfac figure2                    the runs that are there, finished or not
  chainer-kfac figure2 --from results     the results that came with the repository
  chainer-kfac figure2 --profile short --hparams tuned

Draws figure2 (the three optimizers at batch size 2048), study (each optimizer at each batch size
against iterations, epochs and minutes) and batch_size (accuracy against batch size), each as .pdf,
.svg and .png in ROOT/figures/<profile>/<dataset>/. Nothing is trained. Runs that are missing or
unfinished are named, here and in the figure. Needs matplotlib.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'figure2', help="draw the paper's Figure 2 and the batch-size study",
        description="Draw the paper's Figure 2 and the batch-size study from run directories.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--profile', metavar='NAME', help='only of this profile (default: all)')
    parser.add_argument('--dataset', metavar='NAME', help='only of this data set (default: all)')
    parser.add_argument('--hparams', metavar='NAME',
                        help="file of cells that go before the paper's, by path or by its name in "
                        'experiments/ (default: table1, and each of the others that has runs)')
    parser.add_argument('--root', default='runs', help='folder of all runs (default: %(default)s)')
    parser.add_argument('--from', dest='source', choices=('runs', 'results'), default='runs',
                        help='results: draw the committed results')


def run(args):
    from chainer_kfac.analysis import figures, runs, study, study_text

    root = sweeping.root_shown(args)
    for place in runs.places(root, study.EXPERIMENTS, args.profile, args.dataset):
        for hparams in [args.hparams] if args.hparams else figures.hparams(root, *place):
            found, written = figures.write(root, *place, hparams)
            print(study_text.title(found.table))
            for sentence in figures.report(found):
                print(sentence)
            for path in written:
                print(path)
    return 0
