"""Random state of the whole run: dropout masks and whatever else draws from a global generator."""
import chainer
import numpy as np
from chainer.backends import cuda
from chainer.training import extension


class RandomState(extension.Extension):
    """Keeps NumPy's global generator in the snapshot; CuPy's is seeded anew at each epoch.

    CuPy's generator cannot be read out. It gets a seed made of the run's seed and the iteration,
    at the start of each epoch and of each resumed run: what is resumed from the snapshot of an
    epoch draws the same numbers as an uninterrupted run.

    Each of several ranks draws numbers of its own. There NumPy's generator gets a new seed, made of
    the run's seed, the iteration and the rank, before each update. So nothing needs to be kept,
    any number of ranks can go on from any snapshot, and the same number repeats the run.

    Args:
        seed (int): seed of the run.
        ranks (Alone or Ranks): who draws.
    """

    priority = -90  # after everything that may draw, right before the snapshot (-100)

    def __init__(self, seed: int, ranks):
        self._seed = seed
        self._ranks = ranks

    def trigger(self, trainer) -> bool:
        """After each epoch; with several ranks, after each update."""
        return self._ranks.size > 1 or trainer.updater.is_new_epoch

    def initialize(self, trainer):
        self._seed_numpy(trainer.updater)
        self._seed_cupy(trainer.updater)

    def __call__(self, trainer):
        self._seed_numpy(trainer.updater)
        if trainer.updater.is_new_epoch:
            self._seed_cupy(trainer.updater)

    def _seed_numpy(self, updater):
        if self._ranks.size > 1:
            np.random.seed([self._seed, updater.iteration, self._ranks.rank])

    def _seed_cupy(self, updater):
        if updater.get_optimizer('main').target.xp is cuda.cupy:
            cuda.cupy.random.seed((self._seed * 1000003 + updater.iteration
                                   + self._ranks.rank * 7919) % 2**32)

    def serialize(self, serializer):
        kind, keys, *numbers = np.random.get_state()
        keys = serializer('keys', keys.copy())
        numbers = [serializer(name, value)
                   for name, value in zip(('position', 'has_gauss', 'gauss'), numbers, strict=True)]
        if isinstance(serializer, chainer.Deserializer):
            np.random.set_state((kind, keys, *numbers))
