"""Each compiled kernel of a LeNet5 step against its floor.

``python -m benchmarks.kernels [BATCH]`` in the root of a clone prints a table. The floor of a
convolution is its multiplications and additions at the rate of a large product of float32
matrices, measured at the same time; that of the others is the bytes they must read and write at
the rate of copying an array of 64 MB, which arrays that stay in the cache beat. Set
``OMP_NUM_THREADS`` to choose the threads.
"""
import functools
import sys
import time

import chainer
import numpy as np

from benchmarks import report
from chainer_kfac import functions
from chainer_kfac.functions import convolution_2d, convolution_plan, dropout, max_pooling, relu
from chainer_kfac.functions.updates import AdamRule, MomentumSGDRule

LAYERS = {'conv1': (3, 28, 32), 'conv2': (32, 14, 32), 'conv3': (32, 7, 64)}


SECONDS = 1.0
"""How long each group of kernels is timed."""


def fastest(*calls) -> list[float]:
    """Least seconds that each call took, in turns."""
    best = [float('inf')] * len(calls)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def rates() -> tuple[float, float]:
    """Operations a second of a matrix product, bytes a second (read and written) of a copy."""
    a = np.random.rand(2048, 2048).astype(np.float32)
    source, target = np.ones(1 << 24, np.float32), np.ones(1 << 24, np.float32)
    product, copy = fastest(lambda: a @ a, lambda: np.copyto(target, source))
    return 2 * 2048 ** 3 / product, 2 * source.nbytes / copy


def images(*shape) -> np.ndarray:
    """Random images, channels last in memory, as the layers hand them on."""
    n, c, h, w = shape
    return np.random.standard_normal((n, h, w, c)).astype(np.float32).transpose(0, 3, 1, 2)


def convolutions(batch: int, rate: float) -> list:
    """Forward, gradient of the input and of the weights, for each layer."""
    lines = []
    for name, (read, side, written) in LAYERS.items():
        g = convolution_plan.Geometry(
            read, (side, side), written, (side, side), (5, 5), (1, 1), (2, 2), (1, 1), 1)
        x, gy = images(batch, read, side, side), images(batch, written, side, side)
        w = np.random.standard_normal((written, read, 5, 5)).astype(np.float32)
        b = np.zeros(written, np.float32)
        calls = {
            'forward': functools.partial(convolution_2d.convolve, x, w, b, g),
            'weight gradient': functools.partial(convolution_2d.weight_gradient, x, gy, g)}
        if name != 'conv1':  # the images need no gradient
            calls['input gradient'] = functools.partial(convolution_2d.input_gradient, gy, w, g)
        floor = 2 * batch * side ** 2 * written * read * 25 / rate
        lines += [('{} {}'.format(name, what), found, floor)
                  for what, found in zip(calls, fastest(*calls.values()), strict=True)]
    return lines


def others(batch: int, rate: float) -> list:
    """Pooling and ReLU after conv1, dropout after fc4, updates of fc4's weight."""
    x, hidden = images(batch, 32, 28, 28), np.ones((batch, 4096), np.float32)
    pool = max_pooling.MaxPoolingND(2, 3, 2)
    y, = pool.forward((x,))
    parameter = chainer.Parameter(np.ones((4096, 1344), np.float32))
    parameter.grad = np.ones_like(parameter.array)
    sgd, adam = MomentumSGDRule(), AdamRule()
    for rule in (sgd, adam):
        rule.update(parameter)
    cases = {
        'max pooling': (lambda: pool.forward((x,)), x.nbytes + 1.5 * y.nbytes),
        'max pooling gradient': (lambda: max_pooling.MaxPoolingNDGrad(pool).forward((y,)),
                                 1.5 * y.nbytes + x.nbytes),
        'ReLU': (lambda: relu.ReLU().forward((x,)), 2 * x.nbytes),
        'ReLU gradient': (lambda: relu.ReLUGrad2(x).forward((x,)), 3 * x.nbytes),
        'dropout': (lambda: dropout.Dropout(0.5).forward((hidden,)), 5 * hidden.nbytes),
        'momentum SGD': (lambda: sgd.update(parameter), 5 * parameter.array.nbytes),
        'Adam': (lambda: adam.update(parameter), 7 * parameter.array.nbytes),
    }
    found = fastest(*(call for call, _ in cases.values()))
    return [(name, seconds, size / rate)
            for (name, (_, size)), seconds in zip(cases.items(), found, strict=True)]


def main(batch: int = 128) -> str:
    """A table of all kernels."""
    functions.warm_up()
    flops, bandwidth = rates()
    lines = [['kernel, batch {}'.format(batch), 'ms', 'floor, ms', 'floor / ms']]
    for name, seconds, floor in convolutions(batch, flops) + others(batch, bandwidth):
        lines.append([name, *('{:.2f}'.format(1e3 * value) for value in (seconds, floor)),
                      '{:.2f}'.format(floor / seconds)])
    return 'Matrix product {:.0f} GFLOP/s, copy {:.0f} GB/s.\n\n{}'.format(
        flops / 1e9, bandwidth / 1e9, report.table(lines))


if __name__ == '__main__':
    print(main(*map(int, sys.argv[1:])))
