"""Sums of lagged products of images through their discrete Fourier transform.

By the convolution theorem every lag of an autocorrelation comes from one product per frequency:
with images padded by zeros to L >= size + largest lag, sum_y x_c[y] x_c'[y + u] is the inverse
transform at u of sum conj(X_c) X_c'. The transforms are products with small cosine matrices, so
that all the work is matrix multiplication in the dtype of the images.
"""
import chainer
import numpy as np

from chainer_kfac.functions import threads

_SUMS_BYTES = 1 << 27
_LANES = 4


class Chunks:
    """A batch of images, a few examples at a time.

    Args:
        images (array, (rows, columns, examples, ...)): any strides; the rest are groups and
            channels, each perhaps several axes.
        size (int): examples in a chunk.
    """

    def __init__(self, images, size):
        self.images = images
        self.size = size
        self.lanes = 1
        if chainer.backend.get_array_module(images) is np:
            self.lanes = min(_LANES, len(self))

    def __len__(self):
        return -(-self.images.shape[2] // self.size)

    def load(self, index, lane, workspace):
        """A contiguous copy of chunk ``index`` in the scratch memory of ``lane``."""
        xp = chainer.backend.get_array_module(self.images)
        part = self.images[:, :, index * self.size:(index + 1) * self.size]
        chunk = workspace.take(('images', lane), part.shape, part.dtype, xp)
        chunk[...] = part
        return chunk


class LagSums:
    """Computes sum_n sum_yx x[n, g, c, y, x] x[n, g, c', y + u, x + v] for all lags (u, v).

    Args:
        size (pair of int): rows and columns of the images; columns may be 1.
        groups, channels (int): products are formed within a group.
        reach (pair of int): the largest u and v in units of ``step``; lags run from -reach to
            reach.
        step (pair of int): distance of successive lags.
        xp (module), dtype: of the images.
    """

    def __init__(self, size, groups, channels, reach, step, xp, dtype):
        self.size = size
        self.shape = groups, channels
        self.lag_shape = 2 * reach[0] + 1, 2 * reach[1] + 1
        lengths = [n + r * s for n, r, s in zip(size, reach, step)]
        lags = [np.arange(-r, r + 1) * s for r, s in zip(reach, step)]
        tables = [real_transform(lengths[0], size[0]), complex_transform(lengths[1], size[1]),
                  *inverse_transform(lengths, lags)]
        self._rows, self._columns, self._cosines, self._sines = (
            xp.asarray(table.astype(dtype)) for table in tables)
        self._across = lengths[1]
        row_bytes = 4 * _LANES * lengths[1] * groups * channels ** 2 * np.dtype(dtype).itemsize
        self._group_rows = max(1, _SUMS_BYTES // row_bytes)

    def __call__(self, chunks, scale, workspace, *, out=None):
        """Sums times ``scale`` over ``chunks``, as rows (lags, groups, channels, channels).

        Args:
            chunks (Chunks): the images. They are read once for each group of frequencies; the
                number of groups keeps the memory of wide layers bounded.
            out (array or None): where the result goes.
        Returns:
            array: lags in row-major order of (u, v), c at (y, x) first, then c' at (y + u, x + v);
            exactly equal to its transpose under negation of the lag.
        """
        xp = chainer.backend.get_array_module(self._rows)
        groups, channels = self.shape
        count = self.lag_shape[0] * self.lag_shape[1]
        if out is None:
            out = xp.empty((count, groups, channels, channels), self._rows.dtype)
        half = out[count // 2:]
        half[...] = 0
        for start in range(0, len(self._rows) // 2, self._group_rows):
            stop = min(start + self._group_rows, len(self._rows) // 2)
            sums = self._accumulate(chunks, start, stop, workspace)
            picked = slice(start * self._across, stop * self._across)
            even, odd = (part.reshape(part.shape[0], -1) for part in sums)
            half += (scale * self._cosines[:, picked] @ even).reshape(half.shape)
            turning = (scale * self._sines[:, picked] @ odd).reshape(half.shape)
            half -= turning
            half += turning.swapaxes(-1, -2)
        half[0] += half[0].swapaxes(-1, -2).copy()
        half[0] *= 0.5
        out[:count // 2] = half[:0:-1].swapaxes(-1, -2)
        return out

    def _accumulate(self, chunks, start, stop, workspace):
        """Even and odd sums, (frequencies, groups, channels, channels), of rows of frequencies.

        A lane takes every so manieth chunk. The lanes run on a few threads, but there are as many
        whatever the number of threads, so that the sums are the same.
        """
        lanes = chunks.lanes
        totals = [self._sums(('sums', lane), start, stop, workspace) for lane in range(lanes)]

        def work(lane):
            scratch = self._sums(('products', lane), start, stop, workspace)
            for index in range(lane, len(chunks), lanes):
                images = chunks.load(index, lane, workspace)
                spectrum = self._transform(images, start, stop, workspace, lane)
                if index == lane:
                    self._multiply(spectrum, *totals[lane])
                    continue
                self._multiply(spectrum, *scratch)
                for total, part in zip(totals[lane], scratch):
                    total += part

        threads.run(work, lanes)
        for lane in range(1, lanes):
            for total, part in zip(totals[0], totals[lane]):
                total += part
        return totals[0]

    def _sums(self, key, start, stop, workspace):
        xp = chainer.backend.get_array_module(self._rows)
        groups, channels = self.shape
        shape = (stop - start) * self._across, groups, channels, channels
        return [workspace.take((*key, part), shape, self._rows.dtype, xp) for part in range(2)]

    def _transform(self, images, start, stop, workspace, lane):
        """Spectrum (frequencies, groups, part and example, channels) of one chunk."""
        xp = chainer.backend.get_array_module(images)
        h, w = self.size
        examples = images.shape[2]
        flat = images.reshape(h, -1)
        spectrum = workspace.take(
            ('spectrum', lane), (2 * (stop - start), flat.shape[1]), flat.dtype, xp)
        xp.matmul(self._rows[2 * start:2 * stop], flat, out=spectrum)
        if self._across > 1:
            lines = spectrum.reshape(stop - start, 2 * w, -1)
            shape = stop - start, 2 * self._across, lines.shape[2]
            spectrum = workspace.take(('spectrum of columns', lane), shape, flat.dtype, xp)
            xp.matmul(self._columns, lines, out=spectrum)
        spectrum = spectrum.reshape(-1, 2 * examples, *self.shape)
        return spectrum.transpose(0, 2, 1, 3)

    def _multiply(self, spectrum, even, odd):
        """even = Re X^T Re X' + Im X^T Im X', odd = Re X^T Im X', for each frequency."""
        xp = chainer.backend.get_array_module(spectrum)
        transposed = spectrum.swapaxes(-1, -2)
        # In two halves, for NumPy would turn a matrix times its own transpose into a rank-k
        # update, which at these sizes is three times slower than the plain product.
        half = spectrum.shape[-1] // 2
        for columns in (slice(0, half), slice(half, None)):
            xp.matmul(transposed, spectrum[..., columns], out=even[..., columns])
        examples = spectrum.shape[2] // 2
        xp.matmul(transposed[..., :examples], spectrum[:, :, examples:], out=odd)


def real_transform(length, size):
    """Rows (frequency, part) of the transform of ``size`` reals: half a spectrum suffices."""
    angles = 2 * np.pi / length * np.outer(np.arange(length // 2 + 1), np.arange(size))
    return np.stack([np.cos(angles), -np.sin(angles)], axis=1).reshape(-1, size)


def complex_transform(length, size):
    """Rows (frequency, part) acting on ``size`` complex numbers laid out (part, place)."""
    angles = 2 * np.pi / length * np.outer(np.arange(length), np.arange(size))
    cosine, sine = np.cos(angles), np.sin(angles)
    real = np.concatenate([cosine, sine], axis=1)
    imaginary = np.concatenate([-sine, cosine], axis=1)
    return np.stack([real, imaginary], axis=1).reshape(-1, 2 * size)


def inverse_transform(lengths, lags):
    """(lags, frequencies) weights of the even parts, and of the odd ones, of the spectrum.

    Only for the lag 0 and those after it: the others are their negatives. The first axis of
    frequencies holds half a spectrum, whose inner frequencies stand for two.
    """
    rows, columns = lengths
    half = np.arange(rows // 2 + 1)
    share = np.where((half == 0) | (2 * half == rows), 1.0, 2.0) / (rows * columns)
    vertical = 2 * np.pi / rows * np.outer(lags[0], half)
    horizontal = 2 * np.pi / columns * np.outer(lags[1], np.arange(columns))
    angles = vertical[:, None, :, None] + horizontal[None, :, None, :]
    weights = [(share[:, None] * wave(angles)).reshape(len(lags[0]) * len(lags[1]), -1)
               for wave in (np.cos, np.sin)]
    return [weight[len(weight) // 2:] for weight in weights]
