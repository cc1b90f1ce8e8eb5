"""``chainer-kfac promote``: copy finished runs and searches into the committed results."""
import argparse
import logging

EXAMPLE = """\
examples:
  chainer-kfac promote runs/table1/short/cifar10/momentum_sgd-bs128/seed0
  chainer-kfac promote runs/table1/short/cifar10/*/seed*
  chainer-kfac promote runs/search/kfac-bs2048-short-cifar10-holdout

Configurations, logs, results, spectra and figures are copied to the same place below TARGET,
snapshots never. A search must have ended and have been exported ("chainer-kfac search export"); its
copy has all trials, with workers numbered instead of named after their hosts. Tables and figures
are made anew, and with them the numbers in README.md and docs/reproduction.md beside TARGET. A copy
that is there already stays as it is; a different result in its place is refused. Without RUN_DIR
nothing is copied and the rest is made anew. The notebooks show the results too: make notebooks.
"""

logger = logging.getLogger(__name__)


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'promote', help='copy finished runs and searches into results/',
        description='Copy finished runs and searches into the results that are committed.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('directories', metavar='RUN_DIR', nargs='*',
                        help='run directory, or ROOT/search/<experiment>')
    parser.add_argument('--to', metavar='TARGET', default='results',
                        help='root of the copies (default: %(default)s)')
    parser.add_argument('--root', default='runs', help='root of all runs (default: %(default)s)')


def run(args):
    from chainer_kfac.analysis import promotion
    from chainer_kfac.analysis.refresh import refresh

    copies = promotion.promote(args.directories, args.root, args.to)
    for copy in copies:
        logger.info('promoted %s', copy)
    logger.info('%d promoted, %d were there before', len(copies),
                len(args.directories) - len(copies))
    for page in refresh(args.to):
        logger.info('updated the numbers in %s', page)
    if copies:
        logger.info('the notebooks show the results too: make notebooks')
