"""The last step of a convolution's second moment: signed sums of blocks, put in their places."""
import chainer
import numpy as np

from chainer_kfac.functions import threads
from chainer_kfac.functions.compilation import kernel


def assemble(terms, values, moments):
    """Fill ``moments`` by the sums that ``terms`` prescribes for each pair of kernel places.

    Args:
        terms (windows.Terms): which values make up which pair of places.
        values (numpy.ndarray, (terms, groups, c, c)): the value of every term.
        moments (numpy.ndarray, (groups, c * places, c * places)): filled, symmetric, by (channel,
            place).
    """
    signs = terms.signs.astype(values.dtype)
    threads.run_ranges(moments.shape[0] * values.shape[2], lambda start, stop: _assemble(
        terms.starts, terms.terms, signs, values, moments, start, stop), 4)


def assemble_by_product(weights, values, moments):
    """`assemble` as one dense matrix product, for devices where that is the fast way.

    Args:
        weights (array, (pairs of places, terms)): `Terms.dense`, on the device.
        values, moments (arrays): as in `assemble`.
    """
    xp = chainer.backend.get_array_module(values)
    _, groups, c, _ = values.shape
    upper = (weights @ values.reshape(len(values), -1)).reshape(-1, groups, c, c)
    places = moments.shape[1] // c
    first, second = np.triu_indices(places)
    blocks = xp.empty((places, places, groups, c, c), values.dtype)
    blocks[second, first] = upper.swapaxes(-1, -2)
    blocks[first, second] = upper
    moments.reshape(groups, c, places, c, places)[...] = blocks.transpose(2, 3, 0, 4, 1)
    # A device's products may round a matrix and its transpose differently.
    lower = xp.tril(moments, -1)
    moments[...] = xp.tril(moments) + lower.swapaxes(-1, -2)


@kernel(*('void(int64[::1], int64[::1], {0}[::1], {0}[:, :, :, ::1], {0}[:, :, :], int64, int64)'
          .format(dtype) for dtype in ('float32', 'float64')))
def _assemble(starts, terms, signs, values, moments, start, stop):
    """The rows and columns of the channels from ``start`` to ``stop``, counted over all groups."""
    c = values.shape[2]
    places = moments.shape[1] // c
    pairs = len(starts) - 1
    lines = np.empty((pairs, c), values.dtype)
    for channel in range(start, stop):
        group, row = channel // c, channel % c
        for pair in range(pairs):
            first = values[terms[starts[pair]], group, row]
            for column in range(c):
                lines[pair, column] = first[column]
            for i in range(starts[pair] + 1, starts[pair + 1]):
                term, sign = values[terms[i], group, row], signs[i]
                for column in range(c):
                    lines[pair, column] += sign * term[column]
        for column in range(c):
            # One tile of places, and its mirror image, at a time: both stay in the cache.
            tile = moments[group, row * places:, column * places:]
            mirrored = moments[group, column * places:, row * places:]
            pair = 0
            for one in range(places):
                for other in range(one, places):
                    value = lines[pair, column]
                    tile[one, other] = value
                    mirrored[other, one] = value
                    pair += 1
