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

    Args:
        seed (int): seed of the run.
    """

    priority = -90  # after everything that may draw, right before the snapshot (-100)

    def __init__(self, seed: int):
        self._seed = seed

    def initialize(self, trainer):
        self(trainer)

    def __call__(self, trainer):
        if trainer.updater.get_optimizer('main').target.xp is cuda.cupy:
            cuda.cupy.random.seed((self._seed * 1000003 + trainer.updater.iteration) % 2**32)

    def serialize(self, serializer):
        kind, keys, *numbers = np.random.get_state()
        keys = serializer('keys', keys.copy())
        numbers = [serializer(name, value)
                   for name, value in zip(('position', 'has_gauss', 'gauss'), numbers, strict=True)]
        if isinstance(serializer, chainer.Deserializer):
            np.random.set_state((kind, keys, *numbers))
