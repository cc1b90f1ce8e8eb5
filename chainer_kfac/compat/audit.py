"""Look up every name of CuPy that Chainer, ChainerMN, this package and its benchmarks use.

    python -m chainer_kfac.compat.audit            # the table, exit code 1 if a name is unaccounted
    python -m chainer_kfac.compat.audit --write docs/compat.md         # make cupy-audit

Needs CuPy and NCCL (``pip install cupy-cuda13x nvidia-nccl-cu13``), and no GPU. A name that the
installed CuPy lacks has to be explained below: where Chainer uses it, and why that is no loss.
"""
import argparse
import fnmatch
import importlib
import importlib.util
import sys
import warnings
from collections import defaultdict
from pathlib import Path

from chainer_kfac import compat
from chainer_kfac.compat import names

ABSENT = {
    'cupy.cudnn*': 'cuDNN is not part of CuPy 14. Every use is behind should_use_cudnn() or '
                   'cudnn_enabled, both false without it, or in a function reached only through '
                   'them',
    'cupy.cuda.cudnn*': 'as cupy.cudnn',
    'cupy.util.PerformanceWarning': 'the second try after cupy._util.PerformanceWarning, which is '
                                    'there',
    'cupy.testing.random': 'the first try before cupy.testing._random, which is there',
}
"""Names that CuPy 14 lacks (patterns of fnmatch) -> why nothing has to be put in their place."""

PACKAGES = ('chainer', 'chainermn', 'chainer_kfac')
"""Beside these, what measures them: the folder ``benchmarks`` of a clone."""


def used() -> dict[str, list[str]]:
    """Name of CuPy -> where it is used, as 'chainer/backends/cuda.py:128'."""
    result = defaultdict(list)
    folders = [Path(importlib.util.find_spec(package).origin).parent for package in PACKAGES]
    folders += [folders[-1].with_name('benchmarks')]    # of a clone
    for folder in folders:
        for path in names.python_files(folder):
            for name, lines in names.used_in(path.read_text(encoding='utf-8')).items():
                result[name] += ['{}:{}'.format(path.relative_to(folder.parent).as_posix(), line)
                                 for line in sorted(set(lines))]
    return dict(result)


def is_present(name: str) -> bool:
    """Whether the installed CuPy has the name."""
    top, *rest = name.split('.')
    value = importlib.import_module(top)
    for i, part in enumerate(rest):
        if not hasattr(value, part):
            try:
                importlib.import_module('.'.join([top, *rest[:i + 1]]))
            except ImportError:
                return False
        value = getattr(value, part)
    return True


def explanation(name: str) -> str | None:
    """The reason in ``ABSENT`` that covers the name."""
    return next((reason for pattern, reason in ABSENT.items() if fnmatch.fnmatch(name, pattern)),
                None)


def report() -> tuple[list[str], list[str]]:
    """The audit.

    Returns:
        tuple: the lines of a Markdown table, and complaints: names that are neither there nor
        explained, and explanations of names that are there or that nobody uses.
    """
    uses = used()
    rows, complaints, needed = [], [], set()
    for name in sorted(uses):
        reason = explanation(name)
        if is_present(name):
            state = 'present'
        elif reason is None:
            state = '**missing**'
            complaints.append('{} is missing from CuPy and unexplained; used in {}'.format(
                name, ', '.join(uses[name][:3])))
        else:
            state = 'absent: {}'.format(reason)
            needed.update(pattern for pattern in ABSENT if fnmatch.fnmatch(name, pattern))
        rows.append('| `{}` | {} | {} |'.format(name, _places(uses[name]), state))
    complaints += ['the explanation of {} covers nothing that is absent'.format(pattern)
                   for pattern in ABSENT if pattern not in needed]
    return rows, complaints


def _places(uses):
    files = list(dict.fromkeys(use.rpartition(':')[0] for use in uses))
    more = ' and {} more'.format(len(files) - 1) if len(files) > 1 else ''
    return files[0] + more


def page(rows: list[str], version: str) -> str:
    """``docs/compat.md``: the patches with their reasons, then the table of CuPy's names."""
    grouped = defaultdict(list)
    for patch in compat.known():
        grouped[patch.module, patch.reason].append('`{}`'.format(patch.name))
    patches = ['| {} | {} | {} |'.format(', '.join(patched), module, reason)
               for (module, reason), patched in grouped.items()]
    return '\n'.join([
        '<!-- written by: python -m chainer_kfac.compat.audit --write docs/compat.md -->',
        '# Chainer 7.8.1 on today\'s stack', '',
        '`import chainer_kfac` makes `import chainer` work; `python -m chainer_kfac.compat SCRIPT`',
        'runs a Chainer or ChainerMN program as it is. A patch is applied when the module in the',
        'second column is imported, and only where something is missing: on a stack on which',
        'Chainer works, none is. `chainer-kfac doctor` lists those that were applied.', '',
        'What cannot be brought back: methods of arrays that NumPy 2 removed (`x.ptp()`,',
        '`x.itemset()`, `x.newbyteorder()`; write `numpy.ptp(x)` and so on), iDeep and ChainerX,',
        'which have no builds for today\'s Python, and cuDNN. A scalar of the type',
        '`numpy.float64`, where a number of Python\'s own is meant, makes float64 of float32 in',
        '`layer_normalization`, `gumbel_softmax`, `local_response_normalization` and `SMORMS3`:',
        'give `float(x)`.', '',
        '## Patches', '', '| what | when this is imported | why |', '| --- | --- | --- |', *patches,
        '', '## CuPy', '',
        'Every name of CuPy in the source of Chainer, ChainerMN, this package and its benchmarks,',
        'looked up in CuPy {}. Names reached through `xp` count too.'.format(version), '',
        '| name | used in | CuPy {} |'.format(version), '| --- | --- | --- |', *rows, ''])


def main(arguments: list[str] | None = None) -> int:
    """Print or write the audit. Returns the exit code."""
    parser = argparse.ArgumentParser(prog='python -m chainer_kfac.compat.audit',
                                     description=__doc__.partition('\n')[0])
    parser.add_argument('--write', metavar='FILE', help='write the page docs/compat.md')
    args = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')       # CuPy warns that there is no driver
        version = compat.require('cupy', 'the audit of its names').__version__
        rows, complaints = report()
    if args.write:
        Path(args.write).write_text(page(rows, version), encoding='utf-8')
    else:
        print('\n'.join(rows))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print('{} names of CuPy {}: {} unaccounted'.format(len(rows), version, len(complaints)),
          file=sys.stderr)
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
