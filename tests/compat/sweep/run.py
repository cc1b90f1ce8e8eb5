"""What one case of the sweep comes to, on the Chainer and NumPy at hand."""
import random
import warnings

import chainer
import numpy as np

from sweep.inputs import Draw, arrays, digest


def function_outcome(case, dtype):
    """Outputs, gradients and second-order gradients of a function.

    Returns:
        dict: ``y`` and, where it is differentiable, ``gx`` and ``ggx``: lists of digests, or the
        name of the exception that was raised.
    """
    outcome = {'y': _caught(lambda: _outputs(case, dtype))}
    if not isinstance(outcome['y'], str):
        outcome['gx'] = _caught(lambda: _gradients(case, dtype))
        outcome['ggx'] = _caught(lambda: _second_gradients(case, dtype))
    return outcome


def values_outcome(case, dtype):
    """Everything that a case returns; links, optimizers and the rest do their own backward."""
    return {'y': _caught(lambda: _outputs(case, dtype))}


def _caught(function):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return [digest(array) for array in function()]
    except Exception as error:
        return 'raises ' + type(error).__name__


def _call(case, dtype):
    random.seed(0)
    np.random.seed(0)
    draw = Draw(dtype)
    with chainer.using_config('dtype', chainer.mixed16 if dtype == 'mixed16' else draw.dtype):
        return draw, case(draw)


def _outputs(case, dtype):
    return arrays(_call(case, dtype)[1])


def _variables(value):
    if isinstance(value, (tuple, list)):
        return [variable for item in value for variable in _variables(item)]
    return [value] if isinstance(value, chainer.Variable) and value.requires_grad else []


def _seeds(outputs):
    """An output gradient for each output, not constant."""
    return [chainer.Variable((1 + np.arange(y.size) % 3).reshape(y.shape).astype(y.dtype))
            for y in outputs]


def _gradients(case, dtype):
    draw, value = _call(case, dtype)
    outputs = _variables(value)
    for output, seed in zip(outputs, _seeds(outputs)):
        output.grad = seed.array
    chainer.backward(outputs)
    return [variable.grad for variable in draw.variables]


def _second_gradients(case, dtype):
    draw, value = _call(case, dtype)
    outputs = _variables(value)
    grads = chainer.grad(outputs, draw.variables, _seeds(outputs), enable_double_backprop=True)
    grads = [grad for grad in grads if grad is not None]
    for variable in draw.variables:
        variable.cleargrad()
    for grad, seed in zip(grads, _seeds(grads)):
        grad.grad = seed.array
    chainer.backward(grads)
    return [variable.grad for variable in draw.variables]
