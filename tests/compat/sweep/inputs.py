"""Reproducible inputs of the sweep, and what is kept of an outcome."""
import chainer
import numpy as np

DTYPES = ('float16', 'float32', 'float64')
"""The dtypes that every case is run with."""


class Draw:
    """Inputs of one case: the same numbers on every version of NumPy.

    Args:
        dtype (str): of every floating input.
        seed (int): of the legacy generator, whose stream NumPy keeps for ever.
    """

    def __init__(self, dtype, seed=0):
        self.name = dtype
        self.dtype = np.dtype('float16' if dtype == 'mixed16' else dtype)
        self.variables = []
        self._random = np.random.RandomState(seed)

    def array(self, *shape, **kwargs):
        """An array of ``shape``, uniform on the interval ``range`` (default -1, 1)."""
        low, high = kwargs.pop('range', (-1, 1))
        assert not kwargs
        return np.asarray(self._random.uniform(low, high, shape)).astype(self.dtype)

    def x(self, *shape, **kwargs):
        """A variable as ``array``; its gradient is part of the outcome."""
        self.variables.append(chainer.Variable(self.array(*shape, **kwargs)))
        return self.variables[-1]

    def i(self, high, *shape):
        """An int32 array of ``shape``, from 0 to ``high`` - 1."""
        return self._random.randint(0, high, shape).astype('i')

    def posdef(self, *shape):
        """A variable: positive definite matrices of the last axis, with shape (..., n, n)."""
        n = shape[-1]
        a = self._random.uniform(-1, 1, shape + (n,))
        matrix = (np.matmul(a, np.swapaxes(a, -1, -2)) + n * np.eye(n)).astype(self.dtype)
        self.variables.append(chainer.Variable(matrix))
        return self.variables[-1]

    def sequences(self, size):
        """Two sequences of vectors, of length 3 and 2, transposed: a batch for each time."""
        return [self.x(2, size), self.x(2, size), self.x(1, size)]

    def rnn(self, layers, n_in, n_out, gates, stacked=True):
        """Weights and biases of an n-step function: ``gates`` of each a layer or direction."""
        ws, bs = [], []
        for layer in range(layers):
            first = n_out if stacked and layer > 0 else n_in
            widths = [first] * (gates // 2) + [n_out] * (gates // 2)
            ws.append([self.x(n_out, width) for width in widths])
            bs.append([self.x(n_out) for _ in widths])
        return ws, bs

    def rois(self, indexed=False):
        """Two regions of interest and the image that each belongs to."""
        rois = np.array([[1, 1, 9, 12], [2, 0, 14, 7]], self.dtype)
        indices = np.array([0, 1], 'i')
        if indexed:
            return np.concatenate([indices[:, None].astype(self.dtype), rois[:, [1, 0, 3, 2]]], 1)
        return rois, indices

    @staticmethod
    def test(function):
        """The result of ``function()`` outside training."""
        with chainer.using_config('train', False):
            return function()


def arrays(value):
    """The arrays in a nest of variables, arrays, numbers, tuples and lists."""
    if isinstance(value, (tuple, list)):
        return [array for item in value for array in arrays(item)]
    if isinstance(value, dict):
        return [array for key in sorted(value) for array in arrays(value[key])]
    if isinstance(value, chainer.Variable):
        value = value.array
    if value is None or isinstance(value, str):
        return [value]
    return [np.asarray(value)]


def digest(value):
    """What is kept of one array: 'dtype shape sum size', two sums that any change shows in.

    The first sum is weighted, the second one is that of the absolute values.

    Returns:
        str, or None for None; a text is kept as it is.
    """
    if value is None or isinstance(value, str):
        return value
    flat = np.nan_to_num(value.ravel().astype(np.float64), nan=7, posinf=11, neginf=-13)
    weights = 1 + np.arange(flat.size) % 7
    return '{} {} {:.5g} {:.5g}'.format(
        value.dtype.str.lstrip('<|'), ','.join(map(str, value.shape)) or '-',
        (flat * weights).sum(), abs(flat * weights).sum())
