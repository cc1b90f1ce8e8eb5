"""Cells of Table 1 under the profile ``paper``, as many as time allows."""
import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

from chainer_kfac.sweeps import plan
from chainer_kfac.training import RunConfig, run_directory

LIGHT = (run_directory.CONFIG, run_directory.LOG, run_directory.RESULT, run_directory.DIVERGED)
"""Files of a run that are worth carrying away; a snapshot is a hundred times larger."""

SMALL = ['--profile', 'smoke', '--dataset', 'digits', '--optimizer', 'momentum_sgd', '--jobs', '1',
         'train_size=128', 'test_size=50', 'epochs=1', 'min_updates=0', 'variant=dry-run']


def run(options: dict, batch: int) -> dict:
    """``chainer-kfac table1`` for one batch size; SIGINT makes it store snapshots and end.

    Returns:
        dict: 'cells': of each its name and accuracy, None where it is not finished; 'unfinished',
        how many.
    """
    # The signal comes to the whole group. With a handler, unlike when it is ignored, it reaches
    # the command, whose handlers start as the default ones.
    signal.signal(signal.SIGINT, lambda *_: None)
    chosen = SMALL if options['dry_run'] else [
        '--profile', 'paper', '--dataset', 'cifar10', '--jobs', str(options['jobs'])]
    code = subprocess.run(
        [sys.executable, '-m', 'chainer_kfac', 'table1', '--batch', str(batch),
         '--root', options['root'], *chosen]).returncode
    if code not in (0, 1, 128 + signal.SIGINT, -signal.SIGINT):
        raise RuntimeError('chainer-kfac table1 ended with exit code {}'.format(code))
    root = Path(options['root'])
    bundle(root, Path(options['out'], 'runs.tar.gz'))
    if options['dry_run']:
        return {'cells': {}, 'unfinished': int(code != 0)}
    cells = {}
    for cell, config in plan.paper():
        if config['batch_size'] == batch:
            result = run_directory.path(RunConfig(**config), root) / run_directory.RESULT
            cells[cell.optimizer] = (
                json.loads(result.read_text())['best_val_acc'] if result.exists() else None)
    return {'cells': cells, 'unfinished': sum(found is None for found in cells.values())}


def bundle(root: Path, target: Path) -> None:
    """Pack the light files of all runs below ``root`` into one archive."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, 'w:gz') as archive:
        for path in sorted(root.rglob('*')):
            if path.name in LIGHT and path.is_file():
                archive.add(path, path.relative_to(root).as_posix())


def unbundle(source: Path, root: Path) -> None:
    """Put the finished runs of an archive below ``root``; what is there already stays."""
    with tarfile.open(source) as archive:
        names = set(archive.getnames())
        finished = {str(Path(name).parent) for name in names
                    if Path(name).name in (run_directory.RESULT, run_directory.DIVERGED)}
        for member in archive:
            if str(Path(member.name).parent) in finished and not (root / member.name).exists():
                archive.extract(member, root, filter='data')
