"""An iterator that hands out whole batches as arrays."""
from collections.abc import Callable

import chainer
import numpy as np
from chainer import backend
from numpy.typing import ArrayLike

from chainer_kfac.datasets import counter
from chainer_kfac.exceptions import ConfigError


class BatchIterator(chainer.dataset.Iterator):
    """Batches ``(x, t)`` of a data set in memory, in an order that depends on seed and epoch only.

    Image number g of the whole run (counted over all ranks) belongs to epoch g // len(x). As with
    Chainer's SerialIterator, a repeating iterator always gives full batches, which may cross the
    end of an epoch; one that does not repeat ends with a short batch.

    Its only state is how many images were handed out, so a resumed run sees the very batches that
    an uninterrupted one sees. Every rank walks through the same batches and takes a slice of each.

    Chainer's Evaluator averages the values reported for each batch without weights. When the last
    batch is short the mean is exact only if the target reports ``(value, len(t))`` tuples, which
    Chainer reads as value and weight, or if ``batch_size`` divides the number of images.

    Args:
        x (array, (N, C, H, W), uint8), t (array, (N,)): NumPy or CuPy; batches live there too.
        batch_size (int): images of one batch of all ranks together.
        transform (callable): ``transform(x, index, epoch)`` gives the batch's float32 images;
            ``index`` and ``epoch`` are NumPy int64 arrays with one entry an image. Default: only
            the change of type.
        shuffle (bool): a new order each epoch; otherwise the order of ``x``.
        repeat (bool): go on for ever.
        seed (int): of the order.
        rank, size (int): this process gets images rank * batch_size / size, rounded down, up to
            the next rank's: shares may differ by one.
        grain (int): shares differ by this number instead, of which they are multiples; it divides
            ``batch_size``.
    Raises:
        ConfigError: if the arguments do not fit together.
    """

    def __init__(self, x: ArrayLike, t: ArrayLike, batch_size: int, *,
                 transform: Callable | None = None, shuffle: bool = True, repeat: bool = True,
                 seed: int = 0, rank: int = 0, size: int = 1,
                 grain: int = 1):
        if len(x) != len(t) or len(x) < 1:
            raise ConfigError('x and t must hold the same number of images, at least one, got {} '
                              'and {}'.format(len(x), len(t)))
        if batch_size < 1 or batch_size % grain:
            raise ConfigError('batch_size must be a positive multiple of {}, got {!r}'.format(
                grain, batch_size))
        if repeat and batch_size < grain * size:
            raise ConfigError('batch_size must be at least {}, {} for each of {} ranks, got {!r}'
                              .format(grain * size, grain, size, batch_size))
        if not 0 <= rank < size:
            raise ConfigError('rank must be in [0, {!r}), got {!r}'.format(size, rank))
        self.batch_size = batch_size
        self.repeat = repeat
        self._x, self._t = x, t
        self._transform = transform or _to_float
        self._shuffle, self._seed = shuffle, seed
        self._rank, self._size, self._grain = rank, size, grain
        self._orders = {}
        self.reset()

    def reset(self) -> None:
        """Go back to the first batch of epoch 0."""
        self._position = 0
        self._previous_position = -1

    def __next__(self):
        n = len(self._x)
        start = self._position
        stop = start + self.batch_size if self.repeat else min(start + self.batch_size, n)
        if start == stop:
            raise StopIteration
        self._previous_position, self._position = start, stop
        first, last = (start + self._before(r, stop - start) for r in (self._rank, self._rank + 1))
        if first == last:  # the short last batch holds fewer images than there are ranks
            raise StopIteration
        epoch, place = np.divmod(np.arange(first, last), n)
        index = np.concatenate([self._order(e)[place[epoch == e]] for e in np.unique(epoch)])
        xp = backend.get_array_module(self._x)
        at = xp.asarray(index)
        return self._transform(self._x[at], index, epoch), self._t[at]

    next = __next__

    def _before(self, rank, length):
        """How many of a batch's images belong to the ranks before this one."""
        return length // self._grain * rank // self._size * self._grain

    def _order(self, epoch: int) -> np.ndarray:
        if not self._shuffle:
            return np.arange(len(self._x))
        if epoch not in self._orders:
            order = counter.permutation(len(self._x), self._seed, counter.ORDER, epoch)
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = order
        return self._orders[epoch]

    @property
    def share(self) -> float:
        """This rank's part of a whole batch."""
        first, last = (self._before(r, self.batch_size) for r in (self._rank, self._rank + 1))
        return (last - first) / self.batch_size

    @property
    def epoch(self) -> int:
        return self._position // len(self._x)

    @property
    def epoch_detail(self) -> float:
        return self._position / len(self._x)

    @property
    def previous_epoch_detail(self) -> float | None:
        return None if self._previous_position < 0 else self._previous_position / len(self._x)

    @property
    def is_new_epoch(self) -> bool:
        return 0 <= self._previous_position // len(self._x) < self.epoch

    @property
    def current_position(self) -> int:
        return self._position % len(self._x)

    def serialize(self, serializer) -> None:
        """Store or restore how many images were handed out.

        Raises:
            ConfigError: if the snapshot is of another data size, batch size, seed or shuffling,
                whose batches this iterator would not continue.
        """
        ours = np.array([len(self._x), self.batch_size, self._seed, self._shuffle], np.int64)
        theirs = serializer('source', ours.copy())
        if theirs is not None and not np.array_equal(theirs, ours):
            raise ConfigError('the snapshot has (images, batch_size, seed, shuffle) = {} and this '
                              'run has {}: resume with the same'.format(
                                  theirs.tolist(), ours.tolist()))
        self._position = int(serializer('position', self._position))
        self._previous_position = int(serializer('previous_position', self._previous_position))


def _to_float(x, index, epoch):
    return x.astype(np.float32)


@chainer.dataset.converter()
def to_device(batch, device):
    """A Chainer converter for whole batches: sends each array to ``device`` (None: leaves them)."""
    return batch if device is None else tuple(device.send(array) for array in batch)
