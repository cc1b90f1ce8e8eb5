"""``chainer-kfac bench``: how long training steps take here, beside Chainer and PyTorch."""
import argparse
import sys

EXAMPLE = """\
examples:
  chainer-kfac bench                             # the tables kept in benchmarks/, ten minutes
  chainer-kfac bench --batch 128 --threads 2 --rounds 40 --rows SGD 'PyTorch SGD'
  chainer-kfac bench --gpu
  chainer-kfac bench scaling                     # 1, 2 and 4 ranks here, and a model of 1,024

Writes OUT.json, OUT.md and OUT.png; what OUT.json has of other batches and threads stays.
PyTorch is measured if it is installed. docs/performance.md explains the figures.
"""

WHAT = ('steps', 'memory', 'first')
"""Times of steps, peak memory of a process, a process's time until its first step is done."""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'bench', help='time training steps', description='Time LeNet5 training steps, by phase.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what_is_timed', metavar='steps|scaling', nargs='?', default='steps',
                        choices=('steps', 'scaling'),
                        help='steps by phase (the default), or steps on several ranks: the latter '
                        'takes --rounds, --tflops and --out, and docs/scaling.md explains it')
    parser.add_argument('--tflops', type=float, default=10.0, metavar='RATE',
                        help='scaling: matrix products of a stated faster rank (default: '
                        '%(default)s)')
    parser.add_argument('--batch', type=int, nargs='+', metavar='N',
                        help='batch sizes (default: 128 512 2048)')
    parser.add_argument('--threads', type=int, nargs='+', metavar='N',
                        help='numbers of threads (default: 2, and 1 at batch 128)')
    parser.add_argument('--rounds', type=int, metavar='N',
                        help='turns of each row at the smallest batch (default: 12)')
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='steps to time (default: all)')
    parser.add_argument('--out', help='where to write, without an ending (default: '
                        'runs/bench/cpu or runs/bench/scaling)')
    parser.add_argument('--gpu', action='store_true', help='time on GPU 0, by its events')
    parser.add_argument('--what', nargs='+', choices=WHAT, default=list(WHAT),
                        help='what to measure (default: all)')


def run(args):
    from chainer_kfac import resources
    from chainer_kfac.exceptions import ConfigError

    try:
        sys.path.insert(0, str(resources.find('benchmarks/main.py').parent.parent))
    except ConfigError:
        raise ConfigError('the benchmarks are no part of an installed package: run this in a clone '
                          'of the repository, with its own virtual environment') from None
    if args.what_is_timed == 'scaling':
        return _scaling(args)
    from benchmarks import main, report, rows, tables

    unknown = set(args.rows or ()) - set(rows.NAMES)
    if unknown:
        raise ConfigError('--rows {}: no such row; there are {}'.format(
            ', '.join(sorted(unknown)), ', '.join(rows.NAMES)))
    for flag, counts in (('batch', args.batch), ('threads', args.threads),
                         ('rounds', None if args.rounds is None else [args.rounds])):
        if counts is not None and min(counts) < 1:
            raise ConfigError('--{} must be at least 1, got {}'.format(flag, min(counts)))
    chosen = tables.standard(args.rows)
    if args.gpu or args.batch or args.threads or args.rounds:
        threads = [None] if args.gpu else args.threads or [2]
        chosen = tables.product(
            args.batch or [128, 512, 2048], threads, args.rounds or 12, args.rows or rows.NAMES)
    result = main.run(chosen, args.out or 'runs/bench/cpu', gpu=args.gpu, what=args.what)
    print(report.markdown(result))


def _scaling(args):
    from benchmarks.scaling import main, report
    from chainer_kfac.exceptions import ConfigError

    if args.tflops <= 0 or (args.rounds is not None and args.rounds < 1):
        raise ConfigError('--tflops must be above 0 and --rounds at least 1, got {} and {}'.format(
            args.tflops, args.rounds))
    result = main.run(args.out or 'runs/bench/scaling', args.rounds or 10, args.tflops)
    print(report.markdown(result))
