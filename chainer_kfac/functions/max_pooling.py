"""`MaxPoolingND` on compiled kernels for images, with Chainer's results."""
import numpy as np
from chainer.functions.pooling import max_pooling_nd as stock
from chainer.utils import conv_nd

from chainer_kfac.functions import pooling_kernels as kernels
from chainer_kfac.functions import threads
from chainer_kfac.functions.layout import channels_first, channels_last, compilable

_MOST_TAPS = 1 << 16


class MaxPoolingND(stock.MaxPoolingND):
    """Chainer's node; 2-D pooling of float32 NumPy arrays goes through the kernels.

    `spatial_pyramid_pooling_2d` calls it once a level. Where indices are asked for, Chainer's own
    way is taken.
    """

    def forward_cpu(self, inputs):
        x, = inputs
        if not self._takes(x):
            return super().forward_cpu(inputs)
        out = tuple(
            conv_nd.get_conv_outsize(d, k, s, p, self.cover_all)
            for d, k, s, p in zip(x.shape[2:], self.ksize, self.stride, self.pad, strict=True))
        if min(out) <= 0:
            return super().forward_cpu(inputs)
        self._in_shape, self._in_dtype = x.shape, x.dtype
        y = np.empty((len(x), *out, x.shape[1]), np.float32)
        index = np.empty(y.shape, np.uint16)
        arguments = _flat(channels_last(x)), _geometry(self, out), _flat(y), _flat(index)
        threads.run_ranges(len(x), lambda start, stop: kernels.max_pooling(start, stop, *arguments))
        self.indexes = channels_first(index)
        return channels_first(y),

    def backward(self, indexes, gy):
        return MaxPoolingNDGrad(self).apply(gy)

    def _takes(self, x):
        return (self.ndim == 2 and not self.return_indices and compilable(self, x)
                and self.ksize[0] * self.ksize[1] <= _MOST_TAPS)


class MaxPoolingNDGrad(stock.MaxPoolingNDGrad):
    """Chainer's node for the gradient of max pooling, differentiable as Chainer's is."""

    def forward_cpu(self, inputs):
        gy, = inputs
        func = self.func
        if func.indexes.dtype != np.uint16 or not compilable(self, gy):
            return super().forward_cpu(inputs)
        n, c, h, w = func._in_shape
        gx = np.empty((n, h, w, c), np.float32)
        arguments = (_flat(channels_last(gy)), _geometry(func, gy.shape[2:]),
                     _flat(func.indexes.transpose(0, 2, 3, 1)), _flat(gx))
        threads.run_ranges(
            n, lambda start, stop: kernels.max_pooling_gradient(start, stop, *arguments))
        return channels_first(gx),


def _geometry(func, out):
    _, channels, *size = func._in_shape
    return channels, *size, *out, *func.ksize, *func.stride, *func.pad


def _flat(array):
    return array.reshape(-1)
