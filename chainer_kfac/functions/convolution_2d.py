"""`Convolution2DFunction` on compiled kernels, with Chainer's results within float32 rounding.

On a GPU it is done by `convolution_gpu`.
"""
import chainer
import numpy as np
from chainer.backends import cuda
from chainer.functions.connection import convolution_2d as stock
from chainer.utils.conv import get_conv_outsize

from chainer_kfac.functions import convolution_gpu, threads
from chainer_kfac.functions import convolution_kernels as kernels
from chainer_kfac.functions import convolution_plan as plans
from chainer_kfac.functions.layout import channels_first, channels_last, compilable, readable


class Convolution2DFunction(stock.Convolution2DFunction):
    """Chainer's node; float32 NumPy and CuPy arrays go through the kernels, all else Chainer's way.

    Where the backward pass must itself be differentiable it is Chainer's own too. Elsewhere it is
    done in this node, without nodes for each of its parts, which function hooks would see.
    """

    def forward_cpu(self, inputs):
        if self.cudnn_fast or not compilable(self, *inputs):
            return super().forward_cpu(inputs)
        x, w = inputs[:2]
        b = inputs[2] if len(inputs) == 3 else None
        geometry = self._geometry(x.shape, w.shape)
        if min(geometry.out_size) <= 0:
            return super().forward_cpu(inputs)
        self._check_input_layouts_all_standard()
        self.retain_inputs((0, 1))
        return convolve(x, w, b, geometry),

    def _forward_gpu_core(self, x, W, b):
        # Without groups and without cuDNN, Chainer's own way comes by here.
        if not self._is_for_gpu(x, W):
            return super()._forward_gpu_core(x, W, b)
        return convolution_gpu.convolve(x, W, b, self._geometry(x.shape, W.shape)),

    def backward(self, indexes, grad_outputs):
        x, w = (variable.raw_array for variable in self.get_retained_inputs())
        gy = grad_outputs[0].raw_array
        if compilable(self, x, w, gy):
            of_input, of_weight = input_gradient, weight_gradient
        elif self._is_for_gpu(x, w, gy) and not chainer.should_use_cudnn('>=auto'):
            of_input = convolution_gpu.input_gradient
            of_weight = convolution_gpu.weight_gradient
        else:
            return super().backward(indexes, grad_outputs)
        if chainer.config.enable_backprop:
            return super().backward(indexes, grad_outputs)
        geometry = self._geometry(x.shape, w.shape)
        gradients = {}
        if 0 in indexes:
            gradients[0] = of_input(gy, w, geometry)
        if 1 in indexes:
            gradients[1], gradients[2] = of_weight(x, gy, geometry)
        elif 2 in indexes:
            gradients[2] = gy.sum(axis=(2, 3)).sum(axis=0)
        return [chainer.Variable(gradients[i]) for i in indexes]

    def _is_for_gpu(self, *arrays):
        """Whether `convolution_gpu` takes these arrays, in the dense layout of channels first."""
        return (self.groups == 1 and all(layout is None for layout in self.input_layouts)
                and all(isinstance(a, cuda.ndarray) and a.dtype == np.float32 and a.size
                        for a in arrays))

    def _geometry(self, x_shape, w_shape):
        size, window = tuple(x_shape[2:]), tuple(w_shape[2:])
        stride, pad, dilate = (self.sy, self.sx), (self.ph, self.pw), (self.dy, self.dx)
        out_size = tuple(
            get_conv_outsize(d, k, s, p, self.cover_all, step)
            for d, k, s, p, step in zip(size, window, stride, pad, dilate, strict=True))
        return plans.Geometry(
            x_shape[1], size, w_shape[0], out_size, window, stride, pad, dilate, self.groups)


def convolve(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, g: plans.Geometry) -> np.ndarray:
    """Convolution of x (N, C, H, W) with w (C_out, C / groups, kh, kw), plus b (C_out,).

    Returns:
        numpy.ndarray, (N, C_out, H_out, W_out), float32: channels last in memory, as Chainer's.
    """
    plan = plans.forward(g)
    grouped = w.reshape(g.groups, g.group_out, g.group_in, *g.kernel).swapaxes(1, 2)
    return _correlate(plan, x, plan.pack(grouped), plan.pack_bias(b), (*g.out_size, g.out_channels))


def input_gradient(gy: np.ndarray, w: np.ndarray, g: plans.Geometry) -> np.ndarray:
    """Gradient of the convolution's input; channels last in memory."""
    plan = plans.input_gradient(g)
    grouped = w.reshape(g.groups, g.group_out, g.group_in, *g.kernel)
    return _correlate(plan, gy, plan.pack(grouped), plan.pack_bias(None), (*g.size, g.channels))


def weight_gradient(x: np.ndarray, gy: np.ndarray, g: plans.Geometry) -> tuple:
    """Gradients of the weights (C_out, C / groups, kh, kw) and of the bias (C_out,)."""
    plan = plans.weight_gradient(g)
    gw = np.zeros(plan.partial_shape(len(x)), np.float32)
    gb = np.zeros((len(gw), g.out_channels), np.float32)
    x, gy = readable(x), channels_last(gy).reshape(-1)

    def task(i):
        kernels.weight_gradient(i, x, gy, plan.window, plan.groups, plan.runs, plan.run,
                                g.out_size, gw, gb)

    threads.run(task, int(np.prod(gw.shape[:3])))
    return plan.unpack(gw.sum(axis=0)), gb.sum(axis=0)


def _correlate(plan, x, weights, init, image_shape):
    out = np.empty((len(x), *image_shape), np.float32)
    x, flat = readable(x), out.reshape(-1)
    threads.run_ranges(len(x), lambda start, stop: kernels.correlate(
        start, stop, x, weights, init, plan.taps, plan.phases, plan.window, plan.groups, flat))
    return channels_first(out)
