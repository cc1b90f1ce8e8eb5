"""``chainer-kfac bench``: how long training steps take here, beside Chainer and PyTorch."""
import argparse
import sys

EXAMPLE = """\
examples:
  chainer-kfac bench                             # the tables kept in benchmarks/, ten minutes
  chainer-kfac bench --batch 128 --threads 2 --rounds 40 --rows SGD 'PyTorch SGD'
  chainer-kfac bench --gpu

Writes OUT.json, OUT.md and OUT.png; what OUT.json has of other batches and threads stays.
PyTorch is measured if it is installed. docs/performance.md explains the figures.
"""

WHAT = ('steps', 'memory', 'first')
"""Times of steps, peak memory of a process, a process's time until its first step is done."""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'bench', help='time training steps', description='Time LeNet5 training steps, by phase.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs='+', metavar='N',
                        help='batch sizes (default: 128 512 2048)')
    parser.add_argument('--threads', type=int, nargs='+', metavar='N',
                        help='numbers of threads (default: 2, and 1 at batch 128)')
    parser.add_argument('--rounds', type=int, metavar='N',
                        help='turns of each row at the smallest batch (default: 12)')
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='steps to time (default: all)')
    parser.add_argument('--out', default='runs/bench/cpu',
                        help='where to write, without an ending (default: %(default)s)')
    parser.add_argument('--gpu', action='store_true', help='time on GPU 0, by its events')
    parser.add_argument('--what', nargs='+', choices=WHAT, default=list(WHAT),
                        help='what to measure (default: all)')


def run(args):
    from chainer_kfac import resources
    from chainer_kfac.exceptions import ConfigError

    sys.path.insert(0, str(resources.find('benchmarks/main.py').parent.parent))
    from benchmarks import main, report, rows, tables

    unknown = set(args.rows or ()) - set(rows.NAMES)
    if unknown:
        raise ConfigError('--rows {}: no such row; there are {}'.format(
            ', '.join(sorted(unknown)), ', '.join(rows.NAMES)))
    chosen = tables.standard(args.rows)
    if args.gpu or args.batch or args.threads or args.rounds:
        threads = [None] if args.gpu else args.threads or [2]
        chosen = tables.product(
            args.batch or [128, 512, 2048], threads, args.rounds or 12, args.rows or rows.NAMES)
    result = main.run(chosen, args.out, gpu=args.gpu, what=args.what)
    print(report.markdown(result))
