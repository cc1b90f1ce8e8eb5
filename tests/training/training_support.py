"""A small network and small runs for the tests of training; run as a program, a command to kill.

``python training_support.py KILL ARGS...`` is ``chainer-kfac ARGS...`` with the network ``tiny``
registered, a snapshot after each epoch, the last one kept, and something that happens right after
an update: KILL is ``none``, ``SIGNAME@ITERATION`` for a signal to itself or ``raise@ITERATION`` for
an exception, with ``/RANK`` behind it if it concerns one rank only. Or it is ``digest/RANK`` or
``sources/RANK``: that rank then has other data or another version. ``runs`` instead of a subcommand
trains several configurations, given as pairs of file and folder, one after the other on the same
ranks.
"""
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time

import chainer_kfac  # noqa: F401  (first: Chainer does not import without it)

# isort: split
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

from chainer_kfac import models
from chainer_kfac.communicators.ranks import Alone
from chainer_kfac.training import RunConfig, run_directory
from chainer_kfac.training.extensions import SnapshotTrigger

ALONE = Alone()

SMALL = {'dataset': 'digits', 'model': 'tiny', 'train_size': 200, 'test_size': 90,
         'batch_size': 32, 'epochs': 3, 'dropout': 0.3, 'lr': 0.05, 'lr_decay': 0.5,
         'lr_decay_epoch': 2, 'weight_decay': 1e-4, 'device': -1, 'fast': False}
"""200 images in batches of 32: epochs end in the middle of a batch, after 7, 13 and 19 updates."""

OWN = {'momentum_sgd': {'momentum': 0.8}, 'adam': {'lr': 0.01, 'beta1': 0.8},
       'kfac': {'lr': 0.01, 'damping': 0.05, 'cov_ema_decay': 0.7}}
"""Hyperparameters of each optimizer that differ from the defaults."""


class Tiny(chainer.Chain):
    """Convolution, pooling, dropout, and a linear layer that finds its input size by itself."""

    def __init__(self, n_classes, dropout):
        super().__init__()
        self.dropout = dropout
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 5, stride=3)
            self.fc = L.Linear(None, n_classes)

    def forward(self, x):
        h = F.spatial_pyramid_pooling_2d(F.relu(self.conv(x)), 2, pooling='max')
        return self.fc(F.dropout(h, self.dropout) if self.dropout else h)


def config(optimizer='momentum_sgd', **fields):
    """A small run."""
    return RunConfig(**{**SMALL, **OWN[optimizer], 'optimizer': optimizer, **fields})


def command(kill, config, directory, *, env=None, file_limit=None):
    """Run ``chainer-kfac train`` for a configuration as a process.

    Args:
        kill (str): see the module's docstring.
        file_limit (int or None): size in bytes above which the process cannot write a file.
    Returns:
        subprocess.CompletedProcess.
    """
    directory.mkdir(parents=True, exist_ok=True)
    request = directory / '{}.yaml'.format(config.digest)
    request.write_text(json.dumps(config.dump()))
    return subprocess.run(
        [sys.executable, __file__, kill, 'train', str(request), '--root', str(directory)],
        env={**os.environ, **(env or {})}, timeout=120, capture_output=True, text=True, check=False,
        preexec_fn=lambda: file_limit and resource.setrlimit(
            resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY)))


def last_state(path):
    """All arrays of the last snapshot in a kept run directory, but what depends on the clock."""
    newest = run_directory.RunDirectory(path).snapshots()[0]
    with np.load(newest, allow_pickle=True) as arrays:
        state = {name: arrays[name] for name in arrays}
    return {name: array for name, array in state.items()
            if not name.endswith(('elapsed_time', '_log', 'megabytes'))}


def assert_same_state(got, expected):
    """Two snapshots hold the same bits."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype, name
        if array.dtype != object:
            assert got[name].tobytes() == array.tobytes(), name


def without_times(log):
    """A log without the entries that differ from run to run."""
    return [{key: value for key, value in entry.items() if key != 'elapsed_time'} for entry in log]


_finish = run_directory.RunDirectory.finish


def finish_and_keep(self, name, content):
    """``RunDirectory.finish`` that lets the run keep its snapshots, to look at the last one."""
    self.snapshots = list
    try:
        _finish(self, name, content)
    finally:
        del self.snapshots


def _main(kill, *argv):
    from chainer_kfac import cli
    models.REGISTRY['tiny'] = Tiny
    SnapshotTrigger.soon = 0.0
    run_directory.RunDirectory.finish = finish_and_keep
    what, _, rank = kill.partition('/')
    if rank in ('', os.environ.get('OMPI_COMM_WORLD_RANK')):
        _sabotage(*what.split('@'))
    if argv[0] == 'runs':
        return _train_all(argv[1:])
    return cli.main(list(argv))


def _sabotage(what, iteration=None):
    from chainer.training.updaters import StandardUpdater

    from chainer_kfac import datasets
    from chainer_kfac.communicators import agreement
    load, update = datasets.load, StandardUpdater.update
    if what == 'digest':
        datasets.load = lambda *sizes: dataclasses.replace(load(*sizes), digest='0' * 64)
    elif what == 'sources':
        agreement.sources = lambda: 'f' * 12
    elif what != 'none':
        def update_and_act(self):
            update(self)
            if self.iteration == int(iteration):
                print('now {:.1f}'.format(time.time()), file=sys.stderr, flush=True)
                if what == 'raise':
                    raise RuntimeError('something is wrong here')
                os.kill(os.getpid(), getattr(signal, what))
        StandardUpdater.update = update_and_act


def _train_all(pairs):
    from chainer_kfac import training
    from chainer_kfac.communicators import world
    with world.joined() as ranks:
        for request, directory in zip(pairs[::2], pairs[1::2], strict=True):
            training.run(RunConfig.load(request), directory, comm=ranks)
    return 0


if __name__ == '__main__':
    sys.exit(_main(*sys.argv[1:]))
