"""Rates of this machine that the model starts from, each on one thread."""
import time

import numpy as np
import scipy.linalg.lapack as lapack

from benchmarks.scaling.layers import lenet5
from benchmarks.scaling.model import Rates

WIDTH = 2048
"""Of the matrices that are multiplied and inverted: half the widest factor of LeNet5."""


def measure(sgd_seconds: float, batch: int) -> Rates:
    """The rates of this process; BLAS must have one thread.

    Args:
        sgd_seconds (float): of a step of LeNet5 with SGD on one rank, its update included.
        batch (int): its images.
    """
    operations = sum(6.0 * batch * layer.positions * layer.weights for layer in lenet5())
    x = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
    damped = x.T @ x / WIDTH + np.eye(WIDTH, dtype=np.float32)
    product = min(_seconds(lambda: x @ damped) for _ in range(3))
    inverse = min(_seconds(lambda: lapack.spotri(lapack.spotrf(damped, lower=True)[0], lower=True))
                  for _ in range(3))
    return Rates(operations / sgd_seconds, 2.0 * WIDTH ** 3 / product, WIDTH ** 3 / inverse)


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
