"""`MomentumSGDRule`, `AdamRule` and `WeightDecay` on compiled kernels, with Chainer's results."""
import numpy as np
from chainer import optimizer_hooks
from chainer.optimizers import adam, momentum_sgd

from chainer_kfac.functions import elementwise_kernels, threads
from chainer_kfac.functions import update_kernels as kernels
from chainer_kfac.functions.layout import in_memory_order, ordinary


class MomentumSGDRule(momentum_sgd.MomentumSGDRule):
    """Chainer's rule; float32 parameters in host memory go through the kernel."""

    def update_core_cpu(self, param):
        hp = self.hyperparam
        arrays = (param.data, self.state['v'], param.grad)
        if not update_in_place(kernels.momentum_sgd, arrays, (hp.lr, hp.momentum)):
            super().update_core_cpu(param)


class AdamRule(adam.AdamRule):
    """Chainer's rule; float32 parameters in host memory go through the kernel.

    AMSGrad and AdaBound are Chainer's own.
    """

    def update_core_cpu(self, param):
        hp = self.hyperparam
        if hp.amsgrad or hp.adabound:
            super().update_core_cpu(param)
            return
        self._check_eps(np.float32)
        arrays = (param.data, self.state['m'], self.state['v'], param.grad)
        numbers = (self.alpha_t, 1.0 - hp.beta1, 1.0 - hp.beta2, hp.eps, hp.eta,
                   1.0 - hp.eta * hp.weight_decay_rate)
        if not update_in_place(kernels.adam, arrays, numbers):
            super().update_core_cpu(param)


class WeightDecay(optimizer_hooks.WeightDecay):
    """Chainer's hook; float32 parameters in host memory go through the kernel."""

    def __call__(self, rule, param):
        rate = self.rate if param._loss_scale is None else self.rate * param._loss_scale
        if not update_in_place(kernels.add_scaled, (param.grad, param.data), (rate,)):
            super().__call__(rule, param)


def update_in_place(kernel, arrays, numbers):
    """Run a kernel of `update_kernels` on arrays of one shape.

    Returns:
        bool: False, with nothing done, if the arrays are not float32, dense and in one order.
    """
    if not ordinary(*arrays) or not all(array.flags.writeable for array in arrays):
        return False
    rows = in_memory_order(*arrays)
    if rows is None:
        return False
    numbers = [np.float32(number) for number in numbers]
    threads.run_ranges(arrays[0].size, lambda start, stop: kernel(start, stop, *rows, *numbers),
                       elementwise_kernels.LEAST)
    return True
