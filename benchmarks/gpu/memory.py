"""Device memory that steps need at the largest batch."""
import chainer

from benchmarks import rows
from chainer_kfac import models
from chainer_kfac.compat import require
from chainer_kfac.training import memory

NAMES = ('SGD', 'Adam', 'K-FAC', 'K-FAC, weight decay')
LIMIT = 4e9


def run(options: dict) -> dict:
    """Take three steps of each optimizer with CuPy's pool held below 4 GB.

    The limit is the pool's own, in this process alone.

    Returns:
        dict: 'batch', 'limit_mb', 'estimate_mb' (of K-FAC, before a training), 'rows': of each
        'name', 'fits', and 'peak_mb', what the pool has taken from the card (None where it did
        not fit).
    """
    cupy = require('cupy', 'measuring memory')
    pool = cupy.get_default_memory_pool()
    found = []
    for name in NAMES:
        pool.set_limit(size=int(LIMIT))
        try:
            peak = _peak(name, options['device'], pool)
        except cupy.cuda.memory.OutOfMemoryError:
            peak = None
        found.append({'name': name, 'fits': peak is not None, 'peak_mb': peak})
        pool.set_limit(size=0)
        pool.free_all_blocks()
    return {'batch': 2048, 'limit_mb': LIMIT / 2 ** 20, 'rows': found,
            'estimate_mb': memory.needed('kfac', models.LeNet5(), 2048, (3, 28, 28)) / 2 ** 20}


def _peak(name, device, pool):
    row, = rows.build([name], 2048, device)
    for _ in range(3):
        row.parts[0][1]()
    chainer.get_device(device).device.synchronize()
    return pool.total_bytes() / 2 ** 20
