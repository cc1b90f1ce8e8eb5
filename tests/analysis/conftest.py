"""Run directories as training leaves them, without the training."""
import json

import pytest
import yaml

from chainer_kfac.sweeps import plan, study
from chainer_kfac.training import run_directory
from chainer_kfac.training.config import RunConfig

LABELS = {'cifar10': 'CIFAR-10 (sha256 12345678)', 'digits': 'digits (stand-in)'}


@pytest.fixture
def write_run(tmp_path):
    """``write_run('kfac', 512, accuracies=[...])`` writes a finished run of a cell of the study.

    Args of the returned function:
        optimizer, batch_size: the cell.
        accuracies (list of float): validation accuracy of each epoch; one takes 10 seconds.
        finished (bool): whether there is a ``result.json``.
        profile, dataset, root: where it lies.
        result (dict): keys of ``result.json`` to replace.
        fields: of ``RunConfig`` to replace.
    Returns the run directory.
    """
    def write(optimizer, batch_size, accuracies=(0.5, 0.75, 0.625), finished=True, profile='short',
              dataset='cifar10', root='runs', result=(), **fields):
        cell, = plan.select(study.load(), [optimizer], [batch_size])
        chosen = plan.all_profiles()[profile]
        config = RunConfig.parse({**chosen.apply(cell.settings), 'dataset': dataset, **fields})
        directory = run_directory.path(config, tmp_path / root)
        directory.mkdir(parents=True)
        (directory / 'config.yaml').write_text(yaml.safe_dump(config.dump(), sort_keys=False))
        (directory / 'log').write_text(json.dumps([
            {'epoch': i + 1, 'iteration': (i + 1) * 50000 // batch_size,
             'elapsed_time': 10.0 * (i + 1), 'main/accuracy': 0.25 * (i + 1),
             'validation/main/accuracy': accuracy, 'validation/main/loss': 2 - accuracy}
            for i, accuracy in enumerate(accuracies)]))
        if finished:
            (directory / 'result.json').write_text(json.dumps({
                'format': 1, 'best_val_acc': max(accuracies), 'last_val_acc': accuracies[-1],
                'epochs': len(accuracies), 'seconds_per_epoch': 10.0, 'device': 'a CPU',
                'iterations': len(accuracies) * 50000 // batch_size,
                'dataset': {'name': dataset, 'label': LABELS[dataset], 'digest': dataset},
                **dict(result)}))
        return directory

    return write
