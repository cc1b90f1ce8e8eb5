"""The distribution behind a loss, and output gradients whose second moment is its Fisher matrix.

A network's Fisher matrix is the mean over examples of J^T F_y J, with F_y the Fisher matrix of
the output distribution at the network's output y. Seeding backprop at y with vectors whose
(expected) outer products sum to F_y therefore yields gradients with which any factor G is that
of the exact or of the sampled Fisher (paper, equations 6-8; arXiv:1503.05671, section 5).

| loss | p(t given y) | F_y | exact seeds, k = 1 .. d | sampled seed |
| --- | --- | --- | --- | --- |
| softmax_cross_entropy | softmax(y)_t | diag(p) - p p^T | sqrt(p_k) (p - e_k) | p - e_t |
| mean_squared_error | N(y, d/2 I) | 2/d I | sqrt(2/d) e_k | sqrt(2/d) normal |

The variance d/2 makes the squared error, a mean over d outputs, a negative log-likelihood.
"""
from collections.abc import Iterator

import chainer
import numpy as np
from chainer.functions.loss.mean_squared_error import MeanSquaredError
from chainer.functions.loss.softmax_cross_entropy import SoftmaxCrossEntropy

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.linalg import Later, is_on_host

REMEDY = ("use one plain softmax_cross_entropy (without class_weight) or mean_squared_error as the "
          "loss, or fisher='empirical'")


class OutputDistribution:
    """What a recorded loss says about the network's output.

    Attributes:
        output (chainer.Variable): y, where seeds start.
        examples (int): N, the length of its batch axis.
        terms (float or Later): s, the number that the sum of the loss was divided by; 0 if no label
            counts. Where labels are on a device, their count stays there until it is needed.
    """

    def __init__(self, node, examples: int, terms: float | Later):
        self.output = node.get_variable()
        self.examples = examples
        self.terms = terms

    def exact_seeds(self) -> Iterator:
        """Gradients of the mean loss at y, one per output, whose outer products sum to F_y."""
        raise NotImplementedError

    def sampled_seed(self, random: np.random.Generator):
        """Gradient of the mean loss at y with labels drawn from the model's own distribution."""
        raise NotImplementedError


class _Softmax(OutputDistribution):
    def __init__(self, function):
        y, t = function.inputs
        if t.data.dtype.kind == 'f':       # soft targets: the mean is over all rows
            self._counts = None
            terms = y.data.size // y.data.shape[1]
        else:
            self._counts = t.data != function.ignore_label
            terms = self._counts.sum() if function.normalize else len(y.data)
        super().__init__(y, len(y.data), float(terms) if is_on_host(terms) else Later(terms))
        self._class_weight = function.class_weight

    def exact_seeds(self):
        p = self._probabilities()
        for k in range(p.shape[1]):
            seed = p * (p[:, k:k + 1] ** 0.5)
            seed[:, k] -= p[:, k] ** 0.5
            yield self._scaled(seed)

    def sampled_seed(self, random):
        p = self._probabilities()
        xp = chainer.backend.get_array_module(p)
        drawn = xp.asarray(random.random(len(p)))      # on the host: the same on every device
        labels = (p.astype(np.float64).cumsum(axis=1) < drawn[:, None]).sum(axis=1)
        labels = labels.clip(0, p.shape[1] - 1)
        p[xp.arange(len(p)), labels] -= 1
        return self._scaled(p)

    def _probabilities(self):
        y = self.output.array
        if y.ndim != 2 or self._class_weight is not None:
            raise ConfigError('the sampled and exact Fisher of a softmax_cross_entropy with {} is '
                              'not defined here: {}'.format(
                                  'class_weight' if y.ndim == 2 else 'more axes than two', REMEDY))
        y = y.astype(np.float32) if y.dtype == np.float16 else y
        y = y - y.max(axis=1, keepdims=True)
        xp = chainer.backend.get_array_module(y)
        p = xp.exp(y)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def _scaled(self, seed):
        if isinstance(self.terms, Later):
            xp = chainer.backend.get_array_module(seed)
            seed /= xp.maximum(self.terms.array, 1).astype(seed.dtype)
        else:
            seed /= max(self.terms, 1.0)
        if self._counts is not None:
            seed *= self._counts[:, None]
        return seed


class _Gaussian(OutputDistribution):
    def __init__(self, function):
        outputs = [node for node in function.inputs if node.requires_grad]
        y = function.inputs[0].data
        examples = len(y) if y.ndim else 1
        super().__init__(outputs[0], examples, float(examples))
        self._is_one_output = len(outputs) == 1
        self._width = y.size // examples
        self._size = (2.0 / self._width) ** 0.5 / examples

    def exact_seeds(self):
        y = self._observed()
        xp = chainer.backend.get_array_module(y)
        for j in range(self._width):
            seed = xp.zeros((self.examples, self._width), np.result_type(y.dtype, np.float32))
            seed[:, j] = self._size
            yield seed.reshape(y.shape)

    def sampled_seed(self, random):
        y = self._observed()
        xp = chainer.backend.get_array_module(y)
        return xp.asarray(self._size * random.standard_normal(y.shape), np.result_type(
            y.dtype, np.float32))

    def _observed(self):
        if not self._is_one_output:
            raise ConfigError('mean_squared_error between two outputs of the model has no output '
                              'distribution: {}'.format(REMEDY))
        return self.output.array


def find(loss: chainer.Variable) -> OutputDistribution | None:
    """The output distribution of a plain loss; None if ``loss`` is anything else."""
    function = loss.creator_node
    if isinstance(function, SoftmaxCrossEntropy) and function.reduce == 'mean':
        return _Softmax(function)
    if isinstance(function, MeanSquaredError):
        return _Gaussian(function)
    return None


def require(loss: chainer.Variable, fisher: str) -> OutputDistribution:
    """`find`, or the error that says why ``fisher`` needs it."""
    distribution = find(loss)
    if distribution is None:
        made_by = 'no function' if loss.creator_node is None else loss.creator_node.label
        raise ConfigError("fisher={!r} needs the model's output distribution, but the loss is made "
                          'by {}: {}'.format(fisher, made_by, REMEDY))
    return distribution
