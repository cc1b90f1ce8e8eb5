"""The eigenvalues of K-FAC's factors after chosen epochs."""
import os
import pathlib
from collections.abc import Collection

import numpy as np
from chainer.training import extension

from chainer_kfac.fisher.damping import pi
from chainer_kfac.fisher.eigenvalues import eigenvalues
from chainer_kfac.training.run_directory import SPECTRA


class Curvature(extension.Extension):
    """Adds the spectra of all Fisher blocks to ``spectra.npz`` after each chosen epoch.

    They are those of the running averages, undamped, together with the damping of the block and
    the pi that shares it between A and G. docs/run-directory.md lists the arrays. A factor of
    width 4,096 takes ten seconds on one core, one that is kept as a few hundred rows milliseconds.

    The file is all the state: an epoch that is trained again after a crash replaces its entry and
    those after it.

    Args:
        epochs (collection of int): the first epoch is 1.
        ranks (Alone or Ranks): a call is collective among them; rank 0 writes.
    """

    priority = -50  # after the log (100), before random state (-90) and snapshot (-100)

    def __init__(self, epochs: Collection[int], ranks):
        self._epochs = frozenset(epochs)
        self._ranks = ranks

    def __call__(self, trainer):
        updater = trainer.updater
        if updater.epoch not in self._epochs:
            return
        optimizer = updater.get_optimizer('main')
        if self._ranks.size > 1:
            optimizer.make_whole()
        if self._ranks.rank != 0:
            return
        path = pathlib.Path(trainer.out, SPECTRA)
        entry = {'epoch': np.int64(updater.epoch), 'iteration': np.int64(updater.iteration),
                 **_spectra(optimizer)}
        _write(path, _after(_read(path), entry))


def _spectra(optimizer):
    """name -> array of one epoch, for each block that has averages."""
    found = {}
    for block in optimizer.blocks:
        if not block.factors.ready:
            continue
        A, G = eigenvalues(block.factors.A), eigenvalues(block.factors.G)
        split = [pi(a.sum(), len(a), g.sum(), len(g), optimizer.pi_type)
                 for a, g in zip(A, G, strict=True)]
        found.update({'A' + block.name: A, 'G' + block.name: G, 'pi' + block.name: np.array(split),
                      'damping' + block.name: np.float64(optimizer.damping_of(block))})
    return found


def _after(held, entry):
    """The arrays of the epochs before ``entry``, and that one behind them."""
    if not held:
        return {name: value[None] for name, value in entry.items()}
    kept = held['epoch'] < entry['epoch']
    return {name: np.concatenate([held[name][kept], value[None]])
            for name, value in entry.items()}


def _read(path):
    if not path.exists():
        return {}
    with np.load(path) as arrays:
        return dict(arrays)


def _write(path, arrays):
    partial = path.with_name('.{}.partial'.format(path.name))
    try:
        with open(partial, 'wb') as stream:
            np.savez_compressed(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
