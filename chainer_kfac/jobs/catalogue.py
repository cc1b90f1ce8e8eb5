"""The jobs that there are: what each is called, what it runs, and into which parts it falls."""
import shlex
from collections.abc import Iterable, Sequence

from chainer_kfac.jobs.description import JobDescription
from chainer_kfac.sweeps.cells import Cell


def words(*literal: object) -> tuple[str, ...]:
    """Literal words, quoted for a shell."""
    return tuple(shlex.quote(str(each)) for each in literal)


def group(runs: Iterable, per: str = 'cell') -> list[list]:
    """What each part of a sweep trains.

    Args:
        runs (iterable): cells or configurations: anything with ``optimizer`` and ``batch_size``.
        per (str): ``'cell'``, all of one optimizer and batch size, or ``'batch'``, all of one
            batch size.
    """
    parts = {}
    for run in runs:
        key = run.batch_size if per == 'batch' else (run.optimizer, run.batch_size)
        parts.setdefault(key, []).append(run)
    return list(parts.values())


def cell_tasks(cells: Iterable[Cell], per: str = 'cell') -> tuple[tuple[str, ...], ...]:
    """The options that choose the cells of each part of a sweep; ``per`` as in `group`."""
    return tuple(
        words('--optimizer', *dict.fromkeys(cell.optimizer for cell in part),
              '--batch', part[0].batch_size) for part in group(cells, per))


def train(config: str, options: Sequence[str] = (), **others) -> JobDescription:
    """One run.

    Args:
        config (str), options (sequence of str): words of the command, quoted.
        others: further fields of the description.
    """
    return JobDescription(**{
        'name': 'kfac-train', 'about': 'One run.',
        'command': ('chainer-kfac', 'train', config, *options), **others})


def sweep(name: str, options: Sequence[str], tasks, **others) -> JobDescription:
    """The cells of ``chainer-kfac table1`` or ``study``, as an array."""
    about = {'table1': 'The cells of Table 1.', 'study': 'The study of batch sizes.'}[name]
    return JobDescription(**{
        'name': 'kfac-' + name, 'about': about,
        'command': ('chainer-kfac', name, *options), 'tasks': tasks, **others})


def workers(count: int, options: Sequence[str], **others) -> JobDescription:
    """Workers of a search, each a part of an array."""
    return JobDescription(**{
        'name': 'kfac-worker', 'about': 'Workers of a search.',
        'command': ('chainer-kfac', 'worker', *options), 'tasks': ((),) * count, 'endless': True,
        **others})


def driver(options: Sequence[str], **others) -> JobDescription:
    """The driver of a search, which trains nothing itself."""
    return JobDescription(**{
        'name': 'kfac-driver', 'about': 'The driver of a search.',
        'command': ('chainer-kfac', 'search', *options, '--workers', '0'), 'trains': False,
        **others, 'nodes': 1, 'gpus_per_node': 0, 'ranks_per_node': 1, 'cpus_per_rank': 1})
