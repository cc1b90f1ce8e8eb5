"""Whether a run fits into a GPU's memory, known before it begins.

The need is estimated from one forward pass of two images on the CPU: what backprop keeps of each
image, what the widest function and its gradients hold at a time, the patches of convolutions,
parameters with the optimizer's state, and K-FAC's factors. It is meant to err on the high side.
"""
import copy
import math

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.functions.connection.convolution_2d import Convolution2DFunction

from chainer_kfac import functions
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import block_class
from chainer_kfac.functions import convolution_gpu
from chainer_kfac.optimizers.graph import functions_of

STATES = {'momentum_sgd': 1, 'adam': 2, 'kfac': 2}
"""Arrays of a parameter's size that an optimizer holds, beside the gradient."""

COPIES = 5
"""Of each of K-FAC's factors: average, newest, damped, factorised, inverse."""

SPARE = 1.15
"""What a pool of memory wastes between blocks of different sizes."""

_MB = 2 ** 20


def check(config, model: chainer.Link, iterator, device: chainer.backend.Device) -> None:
    """Refuse a run that will not fit on its GPU; on a CPU do nothing.

    Args:
        config (RunConfig): of the run.
        model: still on the CPU; not changed.
        iterator (BatchIterator): of the training images, at its beginning; it stays there.
    Raises:
        ConfigError: naming the memory that is needed and that is free.
    """
    if device.xp is np:
        return
    x, _ = iterator.next()
    iterator.reset()
    wanted = needed(config.optimizer, model, len(x) // config.acc_iters, x.shape[1:])
    found = free(device)
    if wanted > found:
        raise ConfigError(
            'batch_size={} with {} needs about {:,.0f} MB of device memory, and {:,.0f} MB are '
            'free: lower batch_size, set acc_iters to compute it in parts, or use device=-1'.format(
                config.batch_size, config.optimizer, wanted / _MB, found / _MB))


def free(device: chainer.backend.Device) -> int:
    """Bytes that can be had on a GPU, those that CuPy's pool keeps for reuse included."""
    with chainer.using_device(device):
        pool = cuda.cupy.get_default_memory_pool()
        return cuda.cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()


def needed(optimizer: str, model: chainer.Link, images: int, image_shape: tuple) -> int:
    """Estimated bytes that training takes at its peak.

    Args:
        optimizer: its name in a `RunConfig`.
        images: of one forward pass.
        image_shape (tuple of int): (channels, height, width).
    """
    seen, parameters, factors = _probe(model, image_shape)
    total = images * (seen.kept + 2 * seen.widest) + max(
        [_patches(images, *each) for each in seen.convolutions], default=0)
    total += parameters * (2 + STATES[optimizer])
    if optimizer == 'kfac':
        total += COPIES * factors
    return int(SPARE * total)


class _Sizes:
    """Bytes of one image among the two of a forward pass.

    Attributes:
        kept: outputs of all functions.
        widest: the largest input and output of one function together.
        convolutions: (elements of its patches, bytes of one, groups) of each.
    """

    def __init__(self, y: chainer.Variable):
        self.kept = self.widest = 0
        self.convolutions = []
        for function in functions_of(y):
            outputs = [node() for node in function.outputs]
            out = sum(map(_bytes, filter(None, outputs))) // 2
            self.kept += out
            self.widest = max(self.widest, out + _bytes(function.inputs[0]) // 2)
            if isinstance(function, Convolution2DFunction):
                x, w = function.inputs[:2]
                elements = x.shape[1] * math.prod(w.shape[2:]) * math.prod(outputs[0].shape[2:])
                self.convolutions.append((elements, x.dtype.itemsize, function.groups))


def _bytes(node):
    return math.prod(node.shape) * node.dtype.itemsize


def _probe(model, image_shape):
    """Sizes seen in a forward pass, bytes of the parameters, bytes of K-FAC's factors."""
    model = copy.deepcopy(getattr(model, 'predictor', model))
    state = np.random.get_state()
    try:
        with functions.using(False):
            seen = _Sizes(model(np.zeros((2, *image_shape), np.float32)))
    finally:
        np.random.set_state(state)
    factors = 0
    for link in model.links():
        if block_class(link) is not None:
            outputs, inputs = len(link.W.array), link.W[0].size
            factors += 4 * (outputs ** 2 + (inputs + (link.b is not None)) ** 2)
    return seen, sum(param.array.nbytes for param in model.params()), factors


def _patches(images, elements, itemsize, groups):
    """Bytes of the patches that a convolution forms, and of what is copied of them."""
    if groups > 1 or itemsize != 4:
        return 2 * images * elements * itemsize        # Chainer's own way
    return 2 * itemsize * min(images * elements, max(elements, convolution_gpu.ELEMENTS))
