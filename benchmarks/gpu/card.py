"""The card as its driver describes it. Everything here only reads."""
import shutil
import subprocess

from chainer_kfac.compat import require

QUERY = ('driver_version', 'memory.total', 'memory.used', 'clocks.sm', 'clocks.max.sm',
         'power.limit', 'mig.mode.current', 'persistence_mode')


def run(options: dict) -> dict:
    """Name, capability, memory, versions of CUDA's libraries, and what nvidia-smi says."""
    cupy = require('cupy', 'the check of a GPU')
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    free, total = runtime.memGetInfo()
    return {
        'name': properties['name'].decode(),
        'capability': '{}.{}'.format(properties['major'], properties['minor']),
        'multiprocessors': properties['multiProcessorCount'],
        'memory_mb': total / 2 ** 20, 'free_mb': free / 2 ** 20,
        'cards': runtime.getDeviceCount(),
        'driver_cuda': runtime.driverGetVersion(), 'runtime_cuda': runtime.runtimeGetVersion(),
        'cupy': cupy.__version__, 'nvidia_smi': _nvidia_smi(),
    }


def _nvidia_smi():
    if shutil.which('nvidia-smi') is None:
        return {}
    done = subprocess.run(
        ['nvidia-smi', '--query-gpu=' + ','.join(QUERY), '--format=csv,noheader', '--id=0'],
        capture_output=True, text=True, timeout=30)
    values = [value.strip() for value in done.stdout.strip().split(',')]
    return dict(zip(QUERY, values)) if len(values) == len(QUERY) else {}
