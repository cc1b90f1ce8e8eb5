"""Gradients of the micro-batches of one update, added up."""
import chainer
import numpy as np

from chainer_kfac.fisher.state import is_loading, serialize_array


class GradientSum:
    """Weighted mean of gradients over micro-batches, in float32 or wider, without loss scale.

    Attributes:
        count (int): micro-batches taken in.
        weight (float): sum of their weights.
        examples (int): of all of them.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        """Forget everything."""
        self.count = self.examples = 0
        self.weight = 0.0
        self._sums = {}

    def add(self, link: chainer.Link, weight: float, examples: int = 0) -> None:
        """Take in the gradients of a link's parameters, which are left as they are."""
        self.count += 1
        self.weight += weight
        self.examples += examples
        for name, param in link.namedparams(include_uninit=False):
            if param.grad is None:
                continue
            grad = param.grad.astype(np.result_type(param.dtype, np.float32))
            grad *= weight / (param._loss_scale or 1.0)
            if name in self._sums:
                grad += param.device.send(self._sums[name])
            self._sums[name] = grad

    def give_back(self, link: chainer.Link) -> None:
        """Set the mean as the gradients of the link's parameters, and forget it.

        Multiplied by the loss scale in force, as any gradient after backprop.
        """
        for name, param in link.namedparams(include_uninit=False):
            if name in self._sums:
                scale = (param._loss_scale or 1.0) / (self.weight or 1.0)
                param.grad = (self._sums[name] * scale).astype(param.dtype)
        self.clear()

    def serialize(self, serializer, link: chainer.Link) -> None:
        """Between two micro-batches the sums are part of a snapshot."""
        if is_loading(serializer):
            self.clear()
        self.count = serializer('count', self.count)
        self.weight = serializer('weight', self.weight)
        if self.count:
            self.examples = serializer('examples', self.examples)
        sums = {name: serialize_array(serializer[name], 'sum', self._sums.get(name))
                for name, _ in link.namedparams()}
        self._sums = {name: value for name, value in sums.items() if value is not None}
