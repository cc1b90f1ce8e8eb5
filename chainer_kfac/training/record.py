"""What a finished run says about itself: ``result.json``."""
import platform
import sys
from typing import Any

import chainer
import numpy as np
from chainer.backends import cuda

import chainer_kfac
from chainer_kfac.training import device as devices
from chainer_kfac.training.config import RunConfig

FORMAT = 1


def result(config: RunConfig, data, log: list[dict], best, device, peak_memory_mb: float,
           test_acc: float | None, stopped: str | None, counts: dict | None,
           ranks) -> dict[str, Any]:
    """The content of ``result.json``.

    Args:
        data (builders.Data): of the run.
        log (list of dict): one entry an epoch.
        best (BestEpoch): best epoch and its accuracy on the images that ``select_on`` names.
        device (chainer.backend.Device): of the run.
        peak_memory_mb (float): in units of 2**20 bytes.
        test_acc (float or None): on the test images at the best epoch, where held-out images chose.
        stopped (str or None): why the run ended early.
        counts (dict or None): what K-FAC counted: updates made, skipped, repaired.
        ranks (Alone or Ranks): who has finished it; an earlier part may be of another number.
    Returns:
        dict: plain values. ``wall_time`` and ``seconds_per_epoch`` include validation and
        snapshots, over all the processes that have worked on the run.
    """
    last = log[-1]
    content = {
        'format': FORMAT,
        'best_val_acc': best.accuracy,
        'best_epoch': best.epoch,
        'last_val_acc': last['validation/main/accuracy'],
        'test_acc': test_acc,
        'stopped': stopped,
        'epochs': last['epoch'],
        'iterations': last['iteration'],
        'wall_time': last['elapsed_time'],
        'seconds_per_epoch': last['elapsed_time'] / last['epoch'],
        'peak_memory_mb': peak_memory_mb,
        'device': devices.name(device),
        'ranks': ranks.size if ranks.size > 1 else None,
        'versions': versions(),
        'dataset': {'name': data.source.name, 'label': data.source.label,
                    'digest': data.source.digest, 'train_size': len(data.source.train_x),
                    'test_size': len(data.source.test_x)},
        'protocol': protocol(config, data),
        'select_on': config.select_on,
        'seed': config.seed,
        'config_digest': config.digest,
        'kfac': counts,
    }
    return {key: value for key, value in content.items() if value is not None}


def protocol(config: RunConfig, data) -> str:
    """How the numbers came about, in one sentence."""
    source = data.source
    chosen = '{:,} {} images'.format(
        len(source.test_x) if config.select_on == 'test' else len(source.holdout_x),
        'test' if config.select_on == 'test' else 'held-out training')
    sentence = ('{} trained on {:,} images of {} ({}) in batches of {}, validated after each epoch '
                'on {} (standardised, uncropped), which choose the best epoch').format(
                    config.model, len(source.train_x), source.label,
                    'augmented' if config.augment else 'standardised only', config.batch_size,
                    chosen)
    if config.select_on == 'holdout':
        sentence += '; the {:,} test images are used once, with the weights of that epoch'.format(
            len(source.test_x))
    return sentence + '.'


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import numba
    import scipy
    blas = np.show_config(mode='dicts').get('Build Dependencies', {}).get('blas', {})
    found = {
        'python': platform.python_version(),
        'platform': sys.platform + '-' + platform.machine(),
        'chainer_kfac': chainer_kfac.__version__,
        'chainer': chainer.__version__,
        'numpy': np.__version__,
        'scipy': scipy.__version__,
        'numba': numba.__version__,
        'blas': '{} {}'.format(blas.get('name', 'unknown'), blas.get('version', '')).strip(),
    }
    if cuda.available:
        found['cupy'] = cuda.cupy.__version__
    return found
