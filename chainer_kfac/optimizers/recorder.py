"""Function hook that shows each covered layer's inputs and output gradients to its block.

Both are taken in the backward pass: there the function node knows its parameters, Chainer has
kept the inputs, and the hook is only in place while the optimizer runs backprop. So evaluation,
`chainer.no_backprop_mode` and `chainer.grad` inside a loss are never recorded.
"""
from collections.abc import Callable, Iterable

import chainer

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import FisherBlock


class Recorder(chainer.FunctionHook):
    """Matches function nodes to blocks by the identity of their weight parameter.

    It does not matter whether a link or a plain function was called, nor how often.

    Args:
        blocks: those to record.
        want_A, want_G (bool): which factors the blocks compute from what is recorded.
        unformed: those of them whose weight gradients backprop shall leave out; each has a bias,
            so that backprop passes through its calls all the same.
        recorded: called with a block when it has recorded a call.
    """

    name = 'chainer_kfac.Recorder'

    def __init__(self, blocks: Iterable[FisherBlock], *, want_A: bool, want_G: bool,
                 unformed: Iterable[FisherBlock] = (),
                 recorded: Callable[[FisherBlock], None] = lambda block: None):
        self._blocks = {id(block.W): block for block in blocks}
        self._want = {'want_A': want_A, 'want_G': want_G}
        self._unformed = [block.W.node for block in unformed]
        self._recorded = recorded

    def added(self, function):
        self._set_required(False)

    def deleted(self, function):
        self._set_required(True)

    def _set_required(self, required):
        # Chainer decides on a weight's gradient by this flag of its node, at the time of backprop.
        for node in self._unformed:
            node._requires_grad = required

    def backward_preprocess(self, function, in_data, out_grad):
        if len(function.inputs) < 2:
            return
        weight = function.inputs[1].get_variable_or_none()
        block = self._blocks.get(id(weight))
        if block is None or not isinstance(function, block.function_class):
            return
        x, gy = in_data[0], out_grad[0]
        if gy is None:
            return
        if x is None:
            raise ConfigError(
                '{} of {} does not retain its input, which K-FAC needs: call retain_inputs((0, 1)) '
                'in its forward'.format(type(function).__name__, block.name))
        block.record(function, x, gy, **self._want)
        self._recorded(block)
