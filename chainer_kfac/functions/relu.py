"""`ReLU` on compiled kernels, with Chainer's results."""
import numpy as np
from chainer.functions.activation import relu as stock

from chainer_kfac.functions import elementwise_kernels as kernels
from chainer_kfac.functions import threads
from chainer_kfac.functions.layout import compilable, in_memory_order


class ReLU(stock.ReLU):
    """Chainer's node; dense float32 NumPy arrays go through the kernels."""

    def forward_cpu(self, inputs):
        x, = inputs
        rows = in_memory_order(x) if compilable(self, x) else None
        if rows is None:
            return super().forward_cpu(inputs)
        y = np.empty_like(x)
        out, = in_memory_order(y)
        threads.run_ranges(
            out.size, lambda start, stop: kernels.relu(start, stop, *rows, out), kernels.LEAST)
        self.retain_outputs((0,))
        return y,

    def backward(self, indexes, grad_outputs):
        y, = self.get_retained_outputs()
        if type(y.raw_array) is not np.ndarray:
            return super().backward(indexes, grad_outputs)
        return ReLUGrad2(y.raw_array).apply(grad_outputs)


class ReLUGrad2(stock.ReLUGrad2):
    """Chainer's node for the gradient of ReLU, differentiable as Chainer's is."""

    def forward_cpu(self, inputs):
        gy, = inputs
        rows = in_memory_order(self.b, gy) if compilable(self, self.b, gy) else None
        if rows is None:
            return super().forward_cpu(inputs)
        gx = np.empty_like(self.b)
        out, = in_memory_order(gx)
        threads.run_ranges(
            out.size, lambda start, stop: kernels.relu_gradient(start, stop, *rows, out),
            kernels.LEAST)
        return gx,

    def backward(self, indexes, grad_outputs):
        return ReLUGrad2(self.b).apply(grad_outputs)
