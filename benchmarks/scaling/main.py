"""``chainer-kfac bench scaling``: measure on a few ranks, predict for many, write both down."""
import datetime
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.main import BenchmarkFailed, machine
from benchmarks.scaling import figure, report
from benchmarks.scaling.layers import NETWORKS as MODELS
from benchmarks.scaling.model import NETWORKS, STRATEGIES, Rates, step
from chainer_kfac.sweeps import launch

logger = logging.getLogger(__name__)

FORMAT = 1
MEASURED = (1, 2, 4)
PREDICTED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
BATCH = 128
"""Of the measured steps, all ranks together."""
_ROOT = Path(__file__).resolve().parents[2]


def run(out: str, rounds: int = 10, tflops: float = 10.0) -> dict:
    """Measure, predict, and write ``out``.json, ``out``.md and ``out``.png.

    Args:
        rounds (int): steps that are timed.
        tflops (float): matrix products of a stated faster rank, 10^12 operations a second; its
            other rates are faster by the same factor.
    Raises:
        BenchmarkFailed: if a measuring process failed.
        MissingDependency: without MPI.
    """
    measured = [_measure(ranks, rounds) for ranks in MEASURED]
    here = Rates(**measured[0]['rates'])
    kinds = {'this machine, one core': here,
             'stated, {:g} TFLOP/s'.format(tflops): here.times(1e12 * tflops / here.product)}
    result = {'format': FORMAT, 'date': datetime.date.today().isoformat(), 'machine': machine(),
              'measured': measured,
              'rates': {name: rates._asdict() for name, rates in kinds.items()},
              'predicted': list(predictions(kinds))}
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out + '.json').write_text(_text(result))
    Path(out + '.md').write_text(report.markdown(result))
    figure.draw(result, out + '.png')
    return result


def _text(result):
    """JSON with a line for each prediction."""
    lines = ',\n  '.join(json.dumps(entry) for entry in result['predicted'])
    rest = json.dumps({**result, 'predicted': []}, indent=1)
    return rest.replace('"predicted": []', '"predicted": [\n  {}]'.format(lines)) + '\n'


def predictions(kinds: dict[str, Rates]):
    """Steps of all models, networks, strategies and kinds of ranks."""
    for kind, rates in kinds.items():
        for model, (layers, batch) in MODELS.items():
            for network in NETWORKS:
                for strategy in STRATEGIES:
                    steps = [step(layers(), batch, ranks, STRATEGIES[strategy], rates,
                                  NETWORKS[network]) for ranks in PREDICTED]
                    yield {'rank': kind, 'model': model, 'batch': batch, 'network': network,
                           'strategy': strategy, 'ranks': list(PREDICTED),
                           'seconds': [each.seconds for each in steps],
                           'communicating': [each.communicating for each in steps],
                           'bytes': [each.bytes for each in steps],
                           'efficiency': [steps[0].seconds / each.seconds for each in steps]}


def _measure(ranks, rounds):
    logger.info('measuring %d rank%s', ranks, 's' * (ranks > 1))
    one_thread = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
    done = subprocess.run(
        [*launch.prefix(ranks), sys.executable, '-m', 'benchmarks.scaling.steps', str(BATCH),
         str(rounds)], env={**launch.variables(ranks, os.environ), **one_thread},
        cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed('measuring {} ranks failed with exit code {}: {}'.format(
            ranks, done.returncode, ' '.join(done.stderr.split())[-500:]))
    return json.loads(done.stdout)
