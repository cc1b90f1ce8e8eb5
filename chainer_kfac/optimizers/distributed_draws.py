"""Random numbers of one batch that several ranks hold parts of."""
import numpy as np


class SharedDraws:
    """Draws for all ranks' examples, of which each takes its own: those of one process.

    Stands in for the `numpy.random.Generator` of the sampled Fisher. Collective: every rank asks
    for the numbers of its part at the same time; parts lie in rank order.

    Args:
        comm (KroneckerCommunicator)
        generator (numpy.random.Generator): in the same state on every rank.
    """

    def __init__(self, comm, generator: np.random.Generator):
        self._comm = comm
        self._generator = generator

    def random(self, examples: int) -> np.ndarray:
        """Uniform numbers, one an example."""
        start, total = self._place(examples)
        return self._generator.random(total)[start:start + examples]

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal numbers; the first axis is that of examples."""
        examples = shape[0] if shape else 1
        start, total = self._place(examples)
        numbers = self._generator.standard_normal((total, *shape[1:]))
        return numbers[start:start + examples].reshape(shape)

    def _place(self, examples):
        counts = self._comm.numbers([examples])[:, 0].astype(int)
        return int(counts[:self._comm.rank].sum()), int(counts.sum())
