"""The exact natural gradient of a small model: the authority K-FAC is measured against.

Builds the whole Fisher matrix over all parameters (paper, equations 6-8) one example and one
output at a time, so it is for models of some hundred parameters.
"""
from collections.abc import Callable

import chainer
import numpy as np

from chainer_kfac.optimizers import output_fisher


def fisher_matrix(model: chainer.Link, lossfun: Callable, *args):
    """F = 1/N sum_n sum_k v_nk v_nk^T, the exact Fisher matrix of all parameters of ``model``.

    v_nk is the gradient of the k-th seed of example n (`output_fisher`), in the order of
    ``model.params()``, each parameter row-major.

    Args:
        lossfun: called with one example at a time; returns a plain softmax_cross_entropy or
            mean_squared_error.
        args (arrays, (N, ...)): its arguments.
    Returns:
        numpy array, (P, P), float64.
    Raises:
        ConfigError: if the loss has no output distribution.
    """
    params = list(model.params())
    examples = len(args[0])
    fisher = 0.0
    for n in range(examples):
        loss = lossfun(*(arg[n:n + 1] for arg in args))
        distribution = output_fisher.require(loss, 'exact')
        for seed in distribution.exact_seeds():
            seed = chainer.Variable(seed.astype(distribution.output.dtype))
            grads = chainer.grad([distribution.output], params, [seed])
            vector = _vector([None if grad is None else grad.array for grad in grads], params)
            fisher = fisher + np.outer(vector, vector) / examples
    return fisher


def natural_gradient(model: chainer.Link, lossfun: Callable, *args, damping: float = 0.0) -> list:
    """(F + damping I)^-1 times the gradient of the loss: the paper's equation 3 without its rate.

    Args:
        model, lossfun, args: as in `fisher_matrix`.
    Returns:
        list of numpy float64 arrays, one for each of ``model.params()``, of its shape.
    Raises:
        numpy.linalg.LinAlgError: if the damped matrix is singular.
    """
    fisher = fisher_matrix(model, lossfun, *args)
    params = list(model.params())
    grads = chainer.grad([lossfun(*args)], params)
    vector = _vector([None if grad is None else grad.array for grad in grads], params)
    solution = np.linalg.solve(fisher + damping * np.eye(len(vector)), vector)
    ends = np.cumsum([param.size for param in params])
    return [piece.reshape(param.shape)
            for piece, param in zip(np.split(solution, ends[:-1]), params, strict=True)]


def _vector(arrays, params):
    """Gradients one after the other; zeros where there is none."""
    return np.concatenate([
        np.zeros(param.size) if array is None
        else chainer.backends.cuda.to_cpu(array).astype(np.float64).ravel()
        for array, param in zip(arrays, params, strict=True)])
