"""The best epoch so far, and its weights where they are needed at the end."""
import chainer
import numpy as np
from chainer import serializers
from chainer.training import extension


class BestEpoch(extension.Extension):
    """Remembers the epoch with the highest validation accuracy; the earliest one of equals.

    Args:
        model (chainer.Link or None): keep a copy of its weights at that epoch, in host memory and
            in every snapshot, for `restore`.

    Attributes:
        epoch (int): 0 before the first.
        accuracy (float): of that epoch.
    """

    priority = 150  # after validation (300) and the guard (200), before the snapshot (-100)

    def __init__(self, model: chainer.Link | None = None):
        self.epoch = 0
        self.accuracy = -1.0
        self._model = model
        self._weights = {}

    def __call__(self, trainer):
        accuracy = float(trainer.observation['validation/main/accuracy'])
        if accuracy > self.accuracy:
            self.epoch, self.accuracy = trainer.updater.epoch, accuracy
            if self._model is not None:
                self._weights = {name: np.array(array) for name, array in self._state().items()}

    def restore(self) -> None:
        """Give the model the weights of the best epoch."""
        serializers.NpzDeserializer(self._weights).load(self._model)

    def serialize(self, serializer):
        self.epoch = serializer('epoch', self.epoch)
        self.accuracy = serializer('accuracy', self.accuracy)
        if self._model is not None:
            held = {name: serializer(name, self._weights.get(name)) for name in self._state()}
            self._weights = {name: array for name, array in held.items() if array is not None}

    def _state(self):
        serializer = serializers.DictionarySerializer()
        serializer.save(self._model)
        return serializer.target
