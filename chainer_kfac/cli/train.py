"""``chainer-kfac train``: one run, from a configuration file to a finished run directory."""
import argparse

EXAMPLE = """\
example:
  chainer-kfac train experiments/quickstart.yaml
  chainer-kfac train experiments/quickstart.yaml lr=1e-3 batch_size=512 seed=1
  mpirun -n 4 chainer-kfac train experiments/quickstart.yaml    batch_size is that of all ranks

The run is written to
ROOT/<experiment>/<profile>/<dataset>/<optimizer>-bs<batch_size>[-<variant>]/seed<k>/.
The same command resumes an interrupted run from its last snapshot and leaves a finished one alone.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'train', help='train one model', description='Train one model and record the run.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG', help='YAML file that holds one mapping')
    parser.add_argument('overrides', metavar='key=value', nargs='*',
                        help='fields that replace those of the file')
    parser.add_argument('--root', default='runs', help='folder of all runs (default: %(default)s)')
    parser.add_argument('--force', action='store_true',
                        help='discard what the run directory holds and start anew')


def run(args):
    from chainer_kfac import resources
    from chainer_kfac.communicators import world

    with world.joined() as ranks:
        from chainer_kfac import training  # after the threads of a rank are set

        config = ranks.together(training.RunConfig.load, resources.given(args.config),
                                args.overrides)
        training.run(config, training.run_directory.path(config, args.root), force=args.force,
                     comm=ranks)
