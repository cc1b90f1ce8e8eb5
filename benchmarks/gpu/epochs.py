"""Seconds an epoch of whole training runs: data, augmentation, validation and log."""
import statistics
import tempfile
import time

from chainer_kfac import training
from chainer_kfac.sweeps import plan

BATCHES = (512, 2048)
EPOCHS = 4
SMALL = {'dataset': 'digits', 'train_size': 64, 'test_size': 32, 'epochs': 2, 'device': -1,
         'batch_size': 32}


def run(options: dict) -> dict:
    """Train each optimizer for a few epochs with the hyperparameters of its cell.

    Returns:
        dict: 'rows': of each 'optimizer', 'batch', 'seconds' (the median epoch after the first,
        which compiles kernels), 'first_seconds', 'peak_memory_mb'.
    """
    configs = [config for _, config in plan.paper() if config['batch_size'] in BATCHES]
    configs = [training.RunConfig.parse({
        **config, 'experiment': 'epochs', 'profile': 'custom', 'epochs': EPOCHS, 'device': 0})
        for config in configs]
    if options['dry_run']:
        configs = [training.RunConfig.parse({
            **vars(configs[0]), **SMALL})]
    return {'rows': [_measured(config) for config in configs]}


def _measured(config):
    ends = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as folder:
        result = training.run(config, folder, progress='none',
                              on_epoch=lambda entry: ends.append(time.perf_counter()))
    seconds = [after - before for before, after in zip(ends, ends[1:])]
    return {'optimizer': config.optimizer, 'batch': config.batch_size,
            'seconds': statistics.median(seconds[1:]), 'first_seconds': seconds[0],
            'peak_memory_mb': result['peak_memory_mb']}
