"""Momentum update rule that follows a direction other than the gradient."""
import chainer
import numpy as np
from chainer.optimizers.momentum_sgd import MomentumSGDRule

from chainer_kfac import functions
from chainer_kfac.fisher.state import is_loading, serialize_array
from chainer_kfac.linalg import is_on_host

_CHUNK = 1 << 16


class KFACRule(MomentumSGDRule):
    """m <- momentum * m - lr * direction; w <- w + m: the paper's equations 1 and 2.

    The direction is the preconditioned gradient that the optimizer set with `follow`, else the
    gradient. Differs from Chainer's rules in three ways: 'pre' hooks are run by the optimizer,
    for they belong before preconditioning; a float16 parameter always has a float32 copy that is
    updated in its place and is part of the snapshot; and with ``adjust_momentum`` the momentum is
    ``momentum * lr / lr at the first update where that is not 0``.

    The state is float32 or wider. An update whose condition is false on the device leaves weights
    and momentum as they are, without the host knowing.
    """

    def __init__(self, parent_hyperparam=None):
        super().__init__(parent_hyperparam)
        self.first_lr = None
        self._direction = None
        self._condition = True

    def follow(self, direction):
        """Use this array (of the parameter's shape, float32 or wider) at the next update."""
        self._direction = direction

    def only_if(self, condition):
        """Let the next update depend on a number, an array () on the device of the parameter."""
        self._condition = condition

    def call_pre_hooks(self, param: chainer.Parameter):
        """Run this rule's own 'pre' hooks on the gradient."""
        if self.enabled:
            with chainer.using_device(param.device):
                self._hookable.call_hooks('pre', args=(self, param))

    def update(self, param: chainer.Parameter):
        direction, self._direction = self._direction, None
        condition, self._condition = self._condition, True
        if not self.enabled:
            return
        self.t += 1
        if not self.first_lr:
            self.first_lr = self.hyperparam.lr
        if param.array is None or (direction is None and param.grad is None):
            return
        with chainer.using_device(param.device):
            if direction is None:
                direction = unscaled_gradient(param)
            elif direction.dtype == param.dtype:
                param.grad = direction
            self._step(param, direction, condition)
            self._hookable.call_hooks('post', args=(self, param))

    def _step(self, param, direction, condition):
        wide = param.dtype == np.float16
        master = self._master_of(param) if wide else param
        self._init_states(master)
        lr, momentum = self.hyperparam.lr, self.hyperparam.momentum
        if self.hyperparam.adjust_momentum and self.first_lr:
            momentum *= lr / self.first_lr
        arrays = master.array, self.state['v'], direction
        if is_on_host(param.array):
            _step_cpu(*arrays, lr, momentum)
        else:
            _step_gpu(*arrays, lr, momentum, condition)
        if wide:
            param.array[...] = master.array

    def _master_of(self, param):
        """The float32 copy; it follows the parameter where something else has changed that."""
        if self._fp32_param is None:
            self._fp32_param = chainer.Parameter(param.array.astype(np.float32), name=param.name)
        master = self._fp32_param
        master.to_device(param.device)
        changed = master.array.astype(param.dtype) != param.array
        chainer.backend.get_array_module(changed).copyto(master.array, param.array, where=changed)
        return master

    def serialize(self, serializer):
        self.t = serializer('t', self.t)
        first_lr = serializer('first_lr', -1.0 if self.first_lr is None else float(self.first_lr))
        self.first_lr = None if first_lr < 0 else first_lr
        momentum = None if self.state is None else self.state['v']
        momentum = serialize_array(serializer, 'v', momentum)
        master = None if self._fp32_param is None else self._fp32_param.array
        master = serialize_array(serializer, 'master', master)
        if is_loading(serializer):
            self._state = None if momentum is None else {'v': momentum}
            self._fp32_param = None if master is None else chainer.Parameter(master)


def rule_of(param: chainer.Parameter) -> KFACRule | None:
    """The rule by which K-FAC moves a parameter.

    None if it is frozen (``param.update_rule = None``) or was given a rule of another kind, which
    then follows the gradient in its own way.
    """
    return param.update_rule if isinstance(param.update_rule, KFACRule) else None


def unscaled_gradient(param: chainer.Parameter):
    """The gradient in float32 or wider with the loss scale undone.

    The parameter's own array when nothing needs doing.
    """
    grad = param.grad
    if grad.dtype == np.float16:
        grad = grad.astype(np.float32)
    if param._loss_scale is None or param._loss_scale == 1:
        return grad
    return grad / param._loss_scale


def _step_cpu(array, velocity, direction, lr, momentum):
    """The update in one pass over memory where the compiled functions are on.

    Else in pieces that stay in the cache, three passes instead of eight; the same bits.
    """
    if functions.enabled():
        from chainer_kfac.functions import update_kernels, updates
        if updates.update_in_place(update_kernels.momentum_sgd, (array, velocity, direction),
                                   (lr, momentum)):
            return
    for piece in _pieces(array, velocity, direction):
        w, v, d = piece
        v *= momentum
        v -= lr * d
        w += v


def _pieces(*arrays):
    rows = len(arrays[0]) if arrays[0].ndim else 0
    if not rows or arrays[0].size <= _CHUNK:
        yield tuple(array[...] for array in arrays)
        return
    step = max(1, _CHUNK * rows // arrays[0].size)
    for start in range(0, rows, step):
        yield tuple(array[start:start + step] for array in arrays)


def _step_gpu(array, velocity, direction, lr, momentum, condition):
    kernel = chainer.backends.cuda.elementwise(
        'T direction, T lr, T momentum, bool condition', 'T param, T v',
        'if (condition) { v = momentum * v - lr * direction; param += v; }', 'kfac_momentum')
    kernel(direction, lr, momentum, condition, array, velocity)
