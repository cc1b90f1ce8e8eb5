"""``chainer-kfac promote``: copy finished runs into the committed results."""
import argparse
import logging

EXAMPLE = """\
examples:
  chainer-kfac promote runs/table1/short/cifar10/momentum_sgd-bs128/seed0
  chainer-kfac promote runs/table1/short/cifar10/*/seed*

Configurations, logs, results and figures are copied to the same place below TARGET, snapshots
never. The tables there are written anew, and with them the table in the README.md beside TARGET.
A copy that is there already stays as it is; a different result in its place is refused.
"""

logger = logging.getLogger(__name__)


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'promote', help='copy finished runs into results/',
        description='Copy finished runs into the results that are committed.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('directories', metavar='RUN_DIR', nargs='+', help='run directory')
    parser.add_argument('--to', metavar='TARGET', default='results',
                        help='root of the copies (default: %(default)s)')
    parser.add_argument('--root', default='runs', help='root of all runs (default: %(default)s)')


def run(args):
    from chainer_kfac.analysis import front_page, promotion

    copies = promotion.promote(args.directories, args.root, args.to)
    for copy in copies:
        logger.info('promoted %s', copy)
    logger.info('%d runs promoted, %d were there before', len(copies),
                len(args.directories) - len(copies))
    if front_page.update(args.to):
        logger.info('updated the table in README.md')
