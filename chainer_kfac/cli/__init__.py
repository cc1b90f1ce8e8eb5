"""The ``chainer-kfac`` command: parsing and exit codes, nothing else.

One module of this folder is one subcommand. It has ``add_parser(subparsers)`` and ``run(args)``,
which returns the exit code (None for 0), and imports the room that it serves inside ``run``, so
that ``--help`` answers at once.

Exit codes: 0 done; 1 training diverged; 2 something that the user can mend, said in one sentence;
128 + n ended by signal n (130 for Ctrl-C), and the same command goes on from there.
"""
import argparse
import importlib
import importlib.util
import logging
import os
import sys

from chainer_kfac.exceptions import KFACError

COMMANDS = ('train', 'table1', 'study', 'figure2', 'search', 'worker', 'submit', 'promote',
            'bench', 'doctor')
"""Subcommands in the order of ``--help``; each is the module of that name in this folder."""


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv (list of str): arguments without the program's name; the process's own when ``None``.
    Returns:
        int: the exit code (see the module's docstring).
    """
    args = _parsed(argv)
    logging.basicConfig(format='%(message)s', stream=sys.stderr)
    # Not on the root logger: numpy.distutils, which Chainer imports on Python 3.11, sets the level
    # of that one to WARNING.
    for name in ('chainer_kfac', 'benchmarks'):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        code = args.run(args) or 0
        sys.stdout.flush()  # a reader that has gone is noticed here and not at exit
        return code
    except KFACError as error:
        _say(args, error)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        _say(args, interrupt)
        return getattr(interrupt, 'exit_code', 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parsed(argv):
    """The arguments; a key=value may stand anywhere, which argparse allows between no two flags."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    taken = next((name for name in ('overrides', 'words') if hasattr(args, name)), None)
    stray = [each for each in rest if taken is None or each.startswith('-') or '=' not in each]
    if stray:
        parser.error('unrecognized arguments: {} (see chainer-kfac {} --help)'.format(
            ' '.join(stray), args.command))
    if rest:
        setattr(args, taken, getattr(args, taken) + rest)
    return args


def _say(args, error):
    sentence = str(error) or 'interrupted'
    print('chainer-kfac {}: {}'.format(args.command, sentence), file=sys.stderr)


def _parser():
    parser = argparse.ArgumentParser(
        prog='chainer-kfac',
        description='K-FAC for Chainer: train, reproduce Table 1, search hyperparameters.',
        epilog='"chainer-kfac COMMAND --help" shows an example of each command.')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name in COMMANDS:
        path = '{}.{}'.format(__name__, name)
        if importlib.util.find_spec(path) is not None:
            module = importlib.import_module(path)
            module.add_parser(subparsers)
            subparsers.choices[name].set_defaults(run=module.run)
    return parser
