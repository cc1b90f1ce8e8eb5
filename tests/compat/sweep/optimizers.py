"""Every optimizer and optimizer hook of Chainer: three steps, a save, a load and a fourth step."""
import os
import tempfile

import chainer
import chainer.links as L
import numpy as np
from chainer import optimizer_hooks as H
from chainer import optimizers as O
from chainer import serializers


class Model(chainer.Chain):
    """Two layers, the first of which learns its input size from the data."""

    def __init__(self):
        super(Model, self).__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(None, 3, 2)
            self.fc = L.Linear(None, 2)

    def forward(self, x, t):
        h = chainer.functions.relu(self.conv(x))
        return chainer.functions.softmax_cross_entropy(self.fc(h), t)


def steps(make, c, hooks=(), prepare=None):
    """Parameters and optimizer state after four updates, and the same with a save before the last.

    Chainer does not resume exactly everywhere (MSVAG, 32-bit copies of 16-bit parameters), so the
    resumed parameters are part of the outcome and are not compared with the uninterrupted ones.
    """
    batches = [(c.array(4, 2, 3, 3), c.i(2, 4)) for _ in range(4)]
    model, optimizer = _set_up(make, hooks, prepare, batches)
    for x, t in batches[:3]:
        optimizer.update(model, x, t)
    copy, resumed = _set_up(make, hooks, prepare, batches)
    copy(*batches[0])
    with tempfile.TemporaryDirectory() as directory:
        for name, source, target in (('m', model, copy), ('o', optimizer, resumed)):
            path = os.path.join(directory, name)
            serializers.save_npz(path, source)
            serializers.load_npz(path, target)
    resumed.update(copy, *batches[3])
    optimizer.update(model, *batches[3])
    result = []
    for param, other in zip(model.params(), copy.params()):
        result += [param.array, other.array]
        state = param.update_rule.state or {}
        result.extend(value for _, value in sorted(state.items()))
    return result


def _set_up(make, hooks, prepare, batches):
    np.random.seed(1)
    model = Model()
    optimizer = make().setup(model)
    for hook in hooks:
        optimizer.add_hook(hook())
    if prepare is not None:
        prepare(optimizer)
    model(*batches[0])
    return model, optimizer


def _fp32_update(optimizer):
    optimizer.use_fp32_update()


def _loss_scaling(optimizer):
    optimizer.loss_scaling(interval=2, scale=128.0)


CASES = {
    'AMSBound': lambda c: steps(O.AMSBound, c),
    'AMSGrad': lambda c: steps(O.AMSGrad, c),
    'AdaBound': lambda c: steps(O.AdaBound, c),
    'AdaDelta': lambda c: steps(O.AdaDelta, c),
    'AdaGrad': lambda c: steps(lambda: O.AdaGrad(0.01), c),
    'Adam': lambda c: steps(lambda: O.Adam(0.01), c),
    'Adam@decay': lambda c: steps(lambda: O.Adam(0.01, eta=0.5, weight_decay_rate=0.1), c),
    'Adam@eps': lambda c: steps(lambda: O.Adam(0.01, eps=1e-3, amsgrad=True), c),
    'AdamW': lambda c: steps(lambda: O.AdamW(0.01, weight_decay_rate=0.1), c),
    'CorrectedMomentumSGD': lambda c: steps(lambda: O.CorrectedMomentumSGD(0.1), c),
    'MSVAG': lambda c: steps(lambda: O.MSVAG(0.1), c),
    'MomentumSGD': lambda c: steps(lambda: O.MomentumSGD(0.1), c),
    'MomentumSGD@fp32': lambda c: steps(lambda: O.MomentumSGD(0.1), c, prepare=_fp32_update),
    'Adam@fp32': lambda c: steps(lambda: O.Adam(0.01), c, prepare=_fp32_update),
    'MomentumSGD@scaling': lambda c: steps(lambda: O.MomentumSGD(0.1), c, prepare=_loss_scaling),
    'NesterovAG': lambda c: steps(lambda: O.NesterovAG(0.1), c),
    'RMSprop': lambda c: steps(O.RMSprop, c),
    'RMSprop@inside': lambda c: steps(lambda: O.RMSprop(eps_inside_sqrt=True, eps=1e-3), c),
    'RMSpropGraves': lambda c: steps(lambda: O.RMSpropGraves(0.01), c),
    'SGD': lambda c: steps(lambda: O.SGD(0.1), c),
    'SGD@float64': lambda c: steps(lambda: O.SGD(np.float64(0.1)), c),
    'MomentumSGD@float64': lambda c: steps(
        lambda: O.MomentumSGD(np.float64(0.1), np.float64(0.9)), c),
    'Adam@float64': lambda c: steps(lambda: O.Adam(np.float64(0.1), np.float64(0.9)), c),
    'SMORMS3': lambda c: steps(lambda: O.SMORMS3(0.01), c),
    'GradientClipping': lambda c: steps(O.SGD, c, [lambda: H.GradientClipping(0.5)]),
    'GradientHardClipping': lambda c: steps(
        O.SGD, c, [lambda: H.GradientHardClipping(-0.1, 0.1)]),
    'GradientLARS': lambda c: steps(
        O.SGD, c, [lambda: H.GradientLARS(), lambda: H.WeightDecay(0.01)]),
    'GradientNoise': lambda c: steps(O.SGD, c, [lambda: H.GradientNoise(0.0)]),
    'Lasso': lambda c: steps(O.SGD, c, [lambda: H.Lasso(0.01)]),
    'WeightDecay': lambda c: steps(O.SGD, c, [lambda: H.WeightDecay(0.01)]),
    'WeightDecay@float64': lambda c: steps(O.SGD, c, [lambda: H.WeightDecay(np.float64(0.01))]),
}
