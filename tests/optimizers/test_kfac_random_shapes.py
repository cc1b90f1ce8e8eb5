"""Every path equals the plain one on layers of any shape."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from chainer_kfac.fisher.path import Path
from chainer_kfac.optimizers import KFAC

STEPS = 3
WINDOW = 12     # leaves out 0.2 ** 12 = 4e-9 of the averages' weight


def paths():
    return st.builds(Path, solve=st.booleans(), rows_A=st.booleans(), rows_G=st.booleans(),
                     window=st.integers(WINDOW, WINDOW + 2), thin=st.booleans())


@st.composite
def problems(draw):
    width = st.integers(1, 9)
    return {
        'sizes': (draw(width), draw(width), draw(width)),
        'examples': draw(st.lists(st.integers(1, 7), min_size=STEPS, max_size=STEPS)),
        'nobias': draw(st.booleans()), 'twice': draw(st.booleans()),
        'decay': draw(st.sampled_from([0.0, 0.01])),
        'fisher': draw(st.sampled_from(['empirical', 'mc', 'exact'])),
        'interval': draw(st.integers(1, 2)), 'acc_iters': draw(st.integers(1, 2)),
        'seed': draw(st.integers(0, 99)),
    }


def trained(path, sizes, examples, nobias, twice, decay, fisher, interval, acc_iters, seed):
    """Parameters after some steps, with another number of examples in each."""
    random = np.random.RandomState(seed)
    d, hidden, classes = sizes
    with chainer.using_config('dtype', np.dtype('float64')):
        net = chainer.Chain(first=L.Linear(d, hidden, nobias=nobias),
                            again=L.Linear(hidden, hidden), last=L.Linear(hidden, classes))
    for _, param in sorted(net.namedparams()):
        param.array[...] = random.normal(size=param.shape)
    optimizer = KFAC(lr=0.05, damping=0.1, cov_ema_decay=0.8, fisher=fisher, paths=path,
                     acc_iters=acc_iters, factor_update_interval=interval,
                     inverse_update_interval=interval).setup(net)
    if decay:
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(decay))
    for count in examples:
        for _ in range(acc_iters):
            x = random.normal(size=(count, d))
            t = random.randint(0, classes, count).astype(np.int32)

            def loss(x, t):
                h = F.tanh(net.again(F.tanh(net.first(x))))
                return F.softmax_cross_entropy(net.last(net.again(h) if twice else h), t)

            optimizer.update(loss, x, t)
    assert optimizer.diagnostics['updates'] == STEPS
    return np.concatenate([param.array.ravel() for _, param in sorted(net.namedparams())])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(path=paths(), problem=problems())
def test_every_path_on_any_shape(path, problem):
    assert_allclose(trained(path, **problem), trained('inverse', **problem), rtol=1e-5, atol=1e-7)
