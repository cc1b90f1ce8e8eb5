#!/usr/bin/env python3
"""Collect what `gpu_check.py` needs on a machine without network: ``make gpu-wheels``.

Chainer's wheel is built from its source package, which needs a setuptools older than 81 in this
environment; the others are downloaded for the other machine's Python.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.gpu.carried import AT_HOME, LIMIT, NEEDED  # noqa: E402  (found through that line)

CHAINER = 'chainer==7.8.1'
PLATFORMS = ('manylinux_2_28_x86_64', 'manylinux_2_27_x86_64', 'manylinux_2_17_x86_64',
             'manylinux2014_x86_64', 'manylinux1_x86_64')

EXAMPLE = """\
examples:
  make gpu-wheels                         # wheels/gpu, for Python 3.12
  benchmarks/gpu_wheels.py --out wheels/gpu --data cifar10.tar.xz
  benchmarks/gpu_wheels.py --have numpy   # a machine that has nothing but NumPy and CuPy
"""


def main(arguments: list[str] | None = None) -> int:
    """Fill the folder and say how large it is. Returns 1 if that is too much."""
    args = parser().parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    for old in args.out.glob('*.whl'):
        old.unlink()
    collect([name for name in NEEDED if name not in args.have], args.out, args.python)
    size = sum(path.stat().st_size for path in args.out.glob('*.whl'))
    data = args.data.stat().st_size if args.data else 0
    print('{}: {} wheels, {:.1f} MB{}'.format(
        args.out, len(list(args.out.glob('*.whl'))), size / 1e6,
        ', and {:.1f} MB of data'.format(data / 1e6) if data else ''))
    if size + data > LIMIT:
        print('gpu-wheels: that is more than {:.0f} MB: name with --have what the other machine '
              'has'.format(LIMIT / 1e6), file=sys.stderr)
        return 1
    return 0


def collect(names: list[str], folder: Path, python: str) -> None:
    """Wheels of these distributions, for that version of Python."""
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    others = [name for name in names if name != 'chainer']
    if 'chainer' in names:
        with tempfile.TemporaryDirectory() as empty:    # not beside a folder called chainer
            subprocess.run([*pip, 'wheel', '--quiet', '--no-build-isolation', '--no-deps',
                            '--wheel-dir', str(folder.absolute()), CHAINER], check=True, cwd=empty)
    if others:
        platforms = [word for platform in PLATFORMS for word in ('--platform', platform)]
        subprocess.run([*pip, 'download', '--quiet', '--no-deps', '--only-binary=:all:',
                        '--implementation', 'cp', '--python-version', python, *platforms,
                        '--dest', str(folder), *others], check=True)


def parser() -> argparse.ArgumentParser:
    """All options."""
    result = argparse.ArgumentParser(
        prog='benchmarks/gpu_wheels.py', epilog=EXAMPLE,
        description='Collect the wheels that benchmarks/gpu_check.py --wheels installs.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('--out', type=Path, default=Path('wheels/gpu'), metavar='DIR',
                        help='where they go, and where older ones are deleted '
                             '(default: %(default)s)')
    result.add_argument('--python', default='3.12', metavar='X.Y',
                        help="the other machine's Python (default: %(default)s)")
    result.add_argument('--have', nargs='*', choices=list(NEEDED), default=list(AT_HOME),
                        metavar='NAME', help='packages that it has, which need not travel '
                                             '(default: {})'.format(' '.join(AT_HOME)))
    result.add_argument('--data', type=Path, metavar='FILE',
                        help='archive of CIFAR-10 that travels too: its size is added')
    return result


if __name__ == '__main__':
    sys.exit(main())
