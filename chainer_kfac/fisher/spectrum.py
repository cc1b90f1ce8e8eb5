"""Sums of lagged products of images through their discrete Fourier transform.

By the convolution theorem every lag of an autocorrelation comes from one product per frequency:
with images padded by zeros to L >= size + largest lag, sum_y x_c[y] x_c'[y + u] is the inverse
transform at u of sum conj(X_c) X_c'. The transforms are products with small cosine matrices, so
that all the work is matrix multiplication in the dtype of the images.
"""
import chainer
import numpy as np


class LagSums:
    """Accumulates sum_n sum_yx x[n, g, c, y, x] x[n, g, c', y + u, x + v] for a set of lags.

    Args:
        size (pair of int): rows and columns of the images; columns may be 1.
        groups, channels (int): products are formed within a group.
        lags (pair of int arrays): the u and the v wanted.
        like (array): images; tells the module and the dtype.
    """

    def __init__(self, size, groups, channels, lags, like):
        self.xp = chainer.backend.get_array_module(like)
        self.size = size
        self.shape = groups, channels
        lengths = [n + int(np.abs(u).max()) for n, u in zip(size, lags)]
        self._rows = self._device(real_transform(lengths[0], size[0]), like)
        self._columns = None
        if lengths[1] > 1:
            self._columns = self._device(complex_transform(lengths[1], size[1]), like)
        self._inverse = [self._device(part, like) for part in inverse_transform(lengths, lags)]
        self._lag_shape = len(lags[0]), len(lags[1])
        self._frequencies = (lengths[0] // 2 + 1) * lengths[1]
        self._sums = None
        self._scratch = None

    def _device(self, array, like):
        return self.xp.asarray(array.astype(like.dtype))

    def add(self, images):
        """Take in images laid out (rows, columns, examples, groups, channels), contiguous."""
        h, w, examples = images.shape[:3]
        if self._scratch is None:
            self._scratch = self._allocate(images)
        spectrum = self.xp.matmul(self._rows, images.reshape(h, -1))
        if self._columns is not None:
            spectrum = spectrum.reshape(len(self._rows) // 2, 2 * w, -1)
            spectrum = self.xp.matmul(self._columns, spectrum)
        spectrum = spectrum.reshape(self._frequencies, 2 * examples, *self.shape)
        spectrum = spectrum.transpose(0, 2, 1, 3)
        first = self._sums is None
        if first:
            self._sums = self._allocate(images)
        target = self._sums if first else self._scratch
        self._multiply(spectrum, examples, *target)
        if not first:
            for total, part in zip(self._sums, self._scratch):
                total += part

    def _allocate(self, images):
        groups, channels = self.shape
        shape = self._frequencies, groups, channels, channels
        return [self.xp.empty(shape, images.dtype) for _ in range(2)]

    def _multiply(self, spectrum, examples, even, odd):
        """even = Re X^T Re X' + Im X^T Im X', odd = Re X^T Im X', for each frequency."""
        transposed = spectrum.transpose(0, 1, 3, 2)
        # In two halves, for NumPy would turn a matrix times its own transpose into a rank-k
        # update, which at these sizes is three times slower than the plain product.
        half = self.shape[1] // 2
        for columns in (slice(0, half), slice(half, None)):
            self.xp.matmul(transposed, spectrum[..., columns], out=even[..., columns])
        self.xp.matmul(transposed[..., :examples], spectrum[:, :, examples:], out=odd)

    def lags(self):
        """The sums, (len(u), len(v), groups, channels, channels): c first, then the lagged c'."""
        cosine, sine = self._inverse
        even, odd = (part.reshape(self._frequencies, -1) for part in self._sums)
        shape = -1, *self.shape, self.shape[1]
        antisymmetric = (sine @ odd).reshape(shape)
        result = (cosine @ even).reshape(shape)
        result -= antisymmetric
        result += antisymmetric.swapaxes(-1, -2)
        return result.reshape(self._lag_shape + shape[1:])


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

    The first axis holds half a spectrum, whose inner frequencies stand for two.
    """
    rows, columns = lengths
    half = np.arange(rows // 2 + 1)
    share = np.where((half == 0) | (2 * half == rows), 1.0, 2.0) / (rows * columns)
    vertical = 2 * np.pi / rows * np.outer(lags[0], half)
    horizontal = 2 * np.pi / columns * np.outer(lags[1], np.arange(columns))
    angles = vertical[:, None, :, None] + horizontal[None, :, None, :]
    weights = [share[:, None] * wave(angles) for wave in (np.cos, np.sin)]
    return [weight.reshape(len(lags[0]) * len(lags[1]), -1) for weight in weights]
