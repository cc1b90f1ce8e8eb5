"""Run any Chainer program, unmodified, on today's stack.

    python -m chainer_kfac.compat SCRIPT ARGS...
    python -m chainer_kfac.compat -m MODULE ARGS...

The program gets a Python of its own in the place of this process, with one folder more on its
PYTHONPATH: a ``sitecustomize`` there patches Chainer as it is imported. So ``sys.argv``,
``sys.path``, ``__main__``, tracebacks, signals and the exit code are exactly those of a plain
``python SCRIPT ARGS...``, options of Python given before ``-m`` count, and child processes
(``multiprocessing``, ``subprocess``, ``mpirun``) are patched too.
"""
import os
import sys
from pathlib import Path

USAGE = """\
usage: python -m chainer_kfac.compat SCRIPT ARGS...
       python -m chainer_kfac.compat -m MODULE ARGS...

Run an unmodified Chainer or ChainerMN program on today's Python, NumPy and CuPy.
Example: mpirun -n 2 python -m chainer_kfac.compat train_mnist.py --communicator naive
"""


def command(arguments: list[str], original: list[str]) -> list[str]:
    """The command line of the program.

    Args:
        arguments (list of str): what follows ``-m chainer_kfac.compat``.
        original (list of str): ``sys.orig_argv``, which still has Python's own options.
    Returns:
        list of str: to be executed in the place of this process.
    """
    options = original[1:len(original) - len(arguments)]
    last = options.pop().removesuffix('chainer_kfac.compat') or options.pop()
    others = last.removesuffix('m')           # what is left of '-um', with the name or before it
    return [sys.executable, *options, *([others] if others != '-' else []), *arguments]


def environment(inherited: dict[str, str]) -> dict[str, str]:
    """The environment of the program: PYTHONPATH begins with the folder of ``sitecustomize``."""
    site = str(Path(__file__).with_name('site'))
    old = inherited.get('PYTHONPATH')
    entries = [site, *(old.split(os.pathsep) if old else [])]   # an empty one: where it is started
    return {**inherited, 'PYTHONPATH': os.pathsep.join(dict.fromkeys(entries)),
            'CHAINER_KFAC_PYTHON': '{}.{}'.format(*sys.version_info)}


def main() -> int:
    """Become the program, or explain why not. Returns an exit code if it does not."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ('-h', '--help'):
        print(USAGE, end='', file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if sys.flags.ignore_environment or sys.flags.no_site:
        print('python -m chainer_kfac.compat: Python reads neither PYTHONPATH under -E and -I nor '
              'sitecustomize under -S, and both are needed: leave the option out', file=sys.stderr)
        return 2
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command(arguments, sys.orig_argv), environment(dict(os.environ)))


if __name__ == '__main__':
    sys.exit(main())
