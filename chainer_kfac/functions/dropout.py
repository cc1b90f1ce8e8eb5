"""`Dropout` on a compiled kernel, with Chainer's results from the same random numbers."""
import numpy as np
from chainer.functions.noise import dropout as stock

from chainer_kfac.functions import elementwise_kernels as kernels
from chainer_kfac.functions import threads
from chainer_kfac.functions.layout import compilable, in_memory_order


class Dropout(stock.Dropout):
    """Chainer's node; C-contiguous float32 NumPy arrays go through the kernel.

    It draws what Chainer draws from NumPy's global generator, one float64 for each number, so that
    a run repeats whether or not the kernels are on, and restored random states mean the same.
    """

    def forward_cpu(self, inputs):
        x, = inputs
        if self.mask is not None or not (compilable(self, x) and x.flags.c_contiguous):
            return super().forward_cpu(inputs)
        uniform = np.random.rand(x.size)
        self.mask, y = np.empty_like(x), np.empty_like(x)
        rows = in_memory_order(x, self.mask, y)
        scale = np.float32(1. / (1 - self.dropout_ratio))
        threads.run_ranges(
            x.size, lambda start, stop: kernels.dropout(
                start, stop, uniform, self.dropout_ratio, scale, *rows), kernels.LEAST)
        return y,
