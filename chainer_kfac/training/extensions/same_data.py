"""A run goes on with the data it began with, or not at all."""
from chainer.training import extension


class SameData(extension.Extension):
    """Keeps the digest of the data set in the snapshot and compares it when that is loaded.

    Args:
        digest (str): of the data set.
    Raises:
        ValueError: on loading a snapshot that was made with other data.
    """

    def __init__(self, digest: str):
        self._digest = digest

    def __call__(self, trainer):
        """Nothing: it is there for `serialize`."""

    def serialize(self, serializer):
        held = serializer('digest', self._digest)
        if held != self._digest:
            raise ValueError('the data set was {} and is now {}'.format(
                held[:8], self._digest[:8]))
