"""What the tests of spread K-FAC train, and how: shared by the tests and the ranks they start."""
import chainer_kfac  # noqa: F401  (first: Chainer does not import without it)

# isort: split
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer.optimizer_hooks import GradientClipping, WeightDecay

from chainer_kfac.optimizers import KFAC, DistributedKFAC

EXAMPLES, STEPS, CLASSES = 13, 10, 4


class Net(chainer.Chain):
    """Every kind of layer: lazy, grouped, called twice, without bias, and not covered."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.lazy = L.Convolution2D(None, 4, 3, pad=1)
            self.grouped = L.Convolution2D(4, 4, 3, pad=1, groups=2)
            self.scale = L.Scale(1, (4,))
            self.wide = L.Linear(None, 11)
            self.twice = L.Linear(11, 11)
            self.last = L.Linear(11, CLASSES, nobias=True)

    def forward(self, x):
        h = F.tanh(self.scale(self.grouped(F.tanh(self.lazy(x)))))
        h = F.tanh(self.wide(F.max_pooling_2d(h, 2)))
        return self.last(F.tanh(self.twice(F.tanh(self.twice(h)))))


class Narrow(chainer.Chain):
    """One layer: fewer than ranks."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.only = L.Linear(None, CLASSES)

    def forward(self, x):
        return self.only(x)


class Heads(chainer.Chain):
    """Each example goes to one of three heads, so that a rank may have none for a head."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.body = L.Linear(3 * 6 * 6, 11)
            self.first = L.Linear(11, CLASSES)
            self.second = L.Linear(11, CLASSES)
            self.third = L.Linear(11, CLASSES)

    def forward(self, x):
        head = np.digitize(x[:, 0, 0, 0], [0.0, 1.5])
        h = F.tanh(self.body(x))
        parts = [(np.flatnonzero(head == i), link)
                 for i, link in enumerate((self.first, self.second, self.third))]
        outputs = [link(h[mine]) for mine, link in parts if len(mine)]
        order = np.argsort(np.concatenate([mine for mine, _ in parts]))
        return F.concat(outputs, axis=0)[order]


def _case(tolerance=None, dtype='float64', net=Net, acc_iters=1, hooks=(), spread=None,
          own_rules=(), later=None, **kfac):
    """A case; parameters with rules of their own, and {step: hyperparameters from there on}."""
    tolerance = tolerance or {'float64': 1e-9, 'float32': 1e-3}[dtype]
    return {'tolerance': tolerance, 'dtype': dtype, 'net': net, 'hooks': hooks,
            'spread': spread or {}, 'own_rules': own_rules, 'later': later or {},
            'kfac': {**kfac, 'acc_iters': acc_iters}}


ROWS = {'paths': 'rows', 'cov_ema_decay': 0.97}
CASES = {
    'default': _case(),
    'float32': _case(dtype='float32'),
    'one rank a layer': _case(spread={'fraction': 0.0}),
    'half of the ranks': _case(spread={'fraction': 0.5}),
    'all ranks': _case(spread={'fraction': 1.0}),
    'all ranks, float32': _case(dtype='float32', spread={'fraction': 1.0}),
    'unpacked': _case(spread={'packed': False, 'fraction': 1.0}),
    'one rank a layer, unpacked, overlap, intervals': _case(
        spread={'fraction': 0.0, 'packed': False, 'overlap': True}, factor_update_interval=2,
        inverse_update_interval=3),
    'one rank a layer, micro-batches': _case(acc_iters=2, spread={'fraction': 0.0}),
    'one rank a layer, overlap, intervals, float32': _case(
        dtype='float32', spread={'fraction': 0.0, 'overlap': True}, inverse_update_interval=2),
    'half of the ranks, unpacked, overlap, intervals': _case(
        spread={'fraction': 0.5, 'packed': False, 'overlap': True}, factor_update_interval=3),
    'half of the ranks, micro-batches, unpacked, float32': _case(
        dtype='float32', acc_iters=2, spread={'fraction': 0.5, 'packed': False}),
    'fewer layers than ranks': _case(net=Narrow),
    'fewer layers than ranks, one rank a layer': _case(net=Narrow, spread={'fraction': 0.0}),
    'heads': _case(net=Heads),
    'heads, rows, one rank a layer': _case(net=Heads, spread={'fraction': 0.0}, **ROWS),
    'heads, rows, micro-batches': _case(
        net=Heads, acc_iters=2, spread={'fraction': 1.0}, **ROWS),
    'heads, thin, all ranks': _case(
        net=Heads, paths='thin', spread={'fraction': 1.0}, hooks=[WeightDecay(0.01)]),
    'heads, overlap': _case(net=Heads, spread={'overlap': True}),
    'rows': _case(spread={'fraction': 1.0}, **ROWS),
    'rows, float32': _case(dtype='float32', spread={'fraction': 1.0}, **ROWS),
    'rows, weight decay': _case(spread={'fraction': 1.0}, hooks=[WeightDecay(0.01)], **ROWS),
    'rows, one rank a layer': _case(spread={'fraction': 0.0}, hooks=[WeightDecay(0.01)], **ROWS),
    'rows, half': _case(spread={'fraction': 0.5}, **ROWS),
    'rows, half, micro-batches, unpacked': _case(
        acc_iters=2, spread={'fraction': 0.5, 'packed': False}, **ROWS),
    'rows, overlap, one rank a layer, float32': _case(
        dtype='float32', spread={'fraction': 0.0, 'overlap': True}, **ROWS),
    'thin, intervals': _case(paths='thin', factor_update_interval=2, inverse_update_interval=4,
                             cov_ema_decay=0.9, ema_weighs='old', spread={'fraction': 1.0}),
    'thin, one rank a layer': _case(paths='thin', inverse_update_interval=3,
                                    hooks=[WeightDecay(0.01)], spread={'fraction': 0.0}),
    'thin, half': _case(paths='thin', spread={'fraction': 0.5}, hooks=[WeightDecay(0.01)]),
    'thin, overlap, unpacked, float32': _case(
        dtype='float32', paths='thin', spread={'fraction': 1.0, 'packed': False, 'overlap': True}),
    'solve': _case(paths='solve', spread={'fraction': 1.0}),
    'general inverse': _case(use_cholesky=False, spread={'fraction': 1.0}),
    'micro-batches': _case(acc_iters=2),
    'micro-batches of rows': _case(acc_iters=2, spread={'fraction': 1.0}, **ROWS),
    'sampled Fisher': _case(fisher='mc', seed=3),
    'sampled Fisher, rows': _case(fisher='mc', spread={'fraction': 1.0}, **ROWS),
    'exact Fisher': _case(fisher='exact'),
    'clipping': _case(kl_clip=1e-4, hooks=[GradientClipping(0.5)], spread={'fraction': 1.0}),
    'clipping, one rank a layer': _case(kl_clip=1e-4, spread={'fraction': 0.0}),
    'overlap': _case(spread={'overlap': True}),
    'overlap, intervals, loss scale': _case(
        spread={'overlap': True, 'fraction': 1.0}, loss_scale=64.0, factor_update_interval=3),
    'overlap, micro-batches': _case(acc_iters=2, spread={'overlap': True}),
    'overlap, sampled Fisher': _case(fisher='mc', spread={'overlap': True, 'packed': False}),
    'loss scale': _case(loss_scale=64.0),
    'rules of their own': _case(own_rules=['/wide/b', '/last/W']),
    'rules of their own, rows': _case(
        own_rules=['/wide/W', '/twice/b'], spread={'fraction': 1.0}, **ROWS),
    'rows are left while inverses are kept': _case(
        spread={'fraction': 1.0}, later={4: {'inverse_update_interval': 3}}, **ROWS),
    'general inverses from a step on': _case(
        paths='solve', spread={'fraction': 1.0}, later={3: {'use_cholesky': False}}),
    # A number on the wire is off by 2^-11 of itself; errors of ten steps add up.
    'float16 on the wire': _case(0.02, spread={'wire_dtype': 'float16', 'fraction': 1.0}),
    'float16 on the wire, overlap, one rank a layer': _case(
        0.02, spread={'wire_dtype': 'float16', 'fraction': 0.0, 'overlap': True}),
}


def batch(step, micro=0, dtype='float64'):
    """The global batch of one step."""
    random = np.random.RandomState(100 * step + micro)
    x = random.normal(size=(EXAMPLES, 3, 6, 6)).astype(dtype)
    return x, random.randint(0, CLASSES, EXAMPLES).astype(np.int32)


class Training:
    """The training of one case by this rank, or by one process if ``comm`` is None."""

    def __init__(self, name, comm=None, **spread):
        case = CASES[name]
        self.dtype = case['dtype']
        self.part = slice(None)
        np.random.seed(0 if comm is None else comm.rank)
        with chainer.using_config('dtype', np.dtype(self.dtype)):
            self.net = case['net']()
        if comm is None:
            self.optimizer = KFAC(lr=0.01, **case['kfac'])
        else:
            self.optimizer = DistributedKFAC(
                comm, lr=0.01, **case['kfac'], **{**case['spread'], **spread})
            self.part = slice(EXAMPLES * comm.rank // comm.size,
                              EXAMPLES * (comm.rank + 1) // comm.size)
        self.optimizer.setup(self.net)
        for hook in case['hooks']:
            self.optimizer.add_hook(hook)
        rules = chainer.optimizers.SGD(lr=0.01)
        for name, param in self.net.namedparams():
            if name in case['own_rules']:
                param.update_rule = rules.create_update_rule()
        self.later = case['later']
        self.start = None

    def loss(self, x, t):
        return F.softmax_cross_entropy(self.net(x), t)

    def step(self, step):
        for name, value in self.later.get(step, {}).items():
            setattr(self.optimizer, name, value)
        for micro in range(self.optimizer.acc_iters):
            x, t = batch(step, micro, self.dtype)
            with chainer.using_config('dtype', np.dtype(self.dtype)):
                if self.start is None:
                    self._remember_start(x)
                self.optimizer.update(self.loss, x[self.part], t[self.part])

    def _remember_start(self, x):
        """The weights before the first update, rank 0's, which are those of one process."""
        random = np.random.get_state()
        np.random.seed(0)
        with chainer.no_backprop_mode():
            copy = type(self.net)()
            copy(x)
        self.start = flat(copy)
        np.random.set_state(random)

    def change(self):
        """How far the parameters moved."""
        return flat(self.net) - self.start


def flat(net):
    """All parameters as one vector."""
    return np.concatenate([param.array.ravel() for _, param in sorted(net.namedparams())])
