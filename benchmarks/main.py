"""The whole benchmark: every batch size and number of threads, tables and a figure."""
import datetime
import importlib.metadata
import importlib.util
import json
import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks import figure, report, rows
from benchmarks.tables import Table
from chainer_kfac.exceptions import KFACError

logger = logging.getLogger(__name__)

FORMAT = 1
_ROOT = Path(__file__).resolve().parent.parent


class BenchmarkFailed(KFACError):
    """A measuring process ended with an error."""


def run(tables: list[Table], out: str, *, gpu: bool = False,
        what=('steps', 'memory', 'first')) -> dict:
    """Measure and write ``out``.json, ``out``.md and ``out``.png.

    Each table is measured in one process, in turns; peak memory, of the first table's rows at the
    smallest and the largest batch, and the first step in processes of their own. What ``out``.json
    has of other combinations, measured with the same versions on the same machine, stays in it.

    Args:
        tables (list of Table): what to measure.
        out (str): where to write, without an ending.
        gpu (bool): time on GPU 0 with its events.
        what (list of str): 'steps', 'memory' and 'first', or some of these; on a GPU, only steps.
    Returns:
        dict: what was written as JSON.
    Raises:
        BenchmarkFailed: if a measuring process failed.
    """
    device = '@cupy:0' if gpu else '@numpy'
    result = {'format': FORMAT, 'date': datetime.date.today().isoformat(), 'machine': machine(),
              'versions': versions(), 'device': device, 'steps': [], 'memory': [], 'first': None}
    batches = sorted({table.batch for table in tables})
    if 'steps' in what:
        result['steps'] = [_steps(table, device) for table in tables if table.names]
    if not gpu:
        threads = max(table.threads for table in tables)
        if 'memory' in what:
            result['memory'] = [_memory(size, threads, name)
                                for size in dict.fromkeys((batches[0], batches[-1]))
                                for name in tables[0].names if name != 'augmentation']
        if 'first' in what:
            for _ in range(2):  # the first process fills the cache of compiled kernels
                result['first'] = child(threads, 'first', batches[0])
    result = merged(_earlier(out), result)
    write(result, out)
    return result


def _steps(table, device):
    batch, threads, rounds, names = table
    logger.info('batch %d, %s', batch, 'GPU' if threads is None else '{} threads'.format(threads))
    found = child(threads, 'steps', batch, rounds, device, *names)
    return {'batch': batch, 'threads': threads, 'rounds': rounds, 'rows': found}


def _memory(size, threads, name):
    logger.info('memory of %s, batch %d', name, size)
    return {'batch': size, 'name': name, 'mb': child(threads, 'memory', size, name)}


def merged(earlier: dict | None, result: dict) -> dict:
    """The result with what only an earlier one of the same machine and versions has."""
    same = ('format', 'machine', 'versions', 'device')
    if earlier is None or any(earlier[key] != result[key] for key in same):
        return result

    def union(key, *identity):
        return {tuple(entry[name] for name in identity): entry
                for entry in [*earlier[key], *result[key]]}.values()

    steps, memory = union('steps', 'batch', 'threads'), union('memory', 'batch', 'name')
    return {
        **result, 'first': result['first'] or earlier['first'],
        'steps': sorted(steps, key=lambda entry: (entry['batch'], entry['threads'] or 0)),
        'memory': sorted(memory, key=lambda entry: rows.NAMES.index(entry['name'])),
    }


def _earlier(out):
    path = Path(out + '.json')
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else None


def write(result: dict, out: str) -> None:
    """Write the result as JSON, as Markdown and, if matplotlib is there, as a figure."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out + '.json').write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    Path(out + '.md').write_text(report.markdown(result), encoding='utf-8')
    if importlib.util.find_spec('matplotlib') is not None:
        figure.draw(result, out + '.png')
    else:
        logger.warning('matplotlib is not installed, so there is no %s.png', out)


def child(threads: int | None, *arguments) -> object:
    """Result of `benchmarks.child` with these arguments, on so many threads."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(
        [str(_ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]))
    if threads is not None:
        environment.update({name: str(threads) for name in (
            'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')})
    command = [sys.executable, '-m', 'benchmarks.child', *map(str, arguments)]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if process.returncode:
        raise BenchmarkFailed('{} ended with exit code {}; its error is above'.format(
            ' '.join(command[1:]), process.returncode))
    return json.loads(process.stdout.splitlines()[-1])


def machine() -> dict:
    """Processor and cores of this machine."""
    name = platform.processor()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        name = next((line.split(':', 1)[1].strip() for line in cpuinfo.read_text().splitlines()
                     if line.startswith('model name')), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {'processor': name, 'cores': cores, 'system': platform.system()}


def versions() -> dict:
    """Versions of what was measured."""
    found = {'python': platform.python_version()}
    for name in ('chainer_kfac', 'chainer', 'numpy', 'scipy', 'numba', 'torch', 'cupy'):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
