"""Put the compiled nodes in the place of Chainer's, and back."""
import contextlib
import importlib
from collections.abc import Iterator

_SEAMS = (
    ('chainer.functions.connection.convolution_2d', 'Convolution2DFunction', 'convolution_2d'),
    ('chainer.functions.pooling.max_pooling_nd', 'MaxPoolingND', 'max_pooling'),
    ('chainer.functions.activation.relu', 'ReLU', 'relu'),
    ('chainer.functions.noise.dropout', 'Dropout', 'dropout'),
    ('chainer.optimizers.momentum_sgd', 'MomentumSGDRule', 'updates'),
    ('chainer.optimizers.adam', 'AdamRule', 'updates'),
    ('chainer.optimizer_hooks.weight_decay', 'WeightDecay', 'updates'),
)
"""(Chainer's module, a class in it, our module with the subclass of the same name).

While enabled, calling one of these classes makes an object of our subclass; that is all that is
changed. So every caller is served however it imported the function, the node is an instance of the
class that it expects, and no name in Chainer means something else than before.
"""

_subclasses: dict = {}


def enable() -> None:
    """Let Chainer's functions build the compiled nodes, in the whole process.

    The first call loads the kernels, and compiles them if this machine has not done so yet (about
    ten seconds); no later step compiles anything. Calling it again changes nothing.
    """
    for stock, ours in _nodes():
        # Set once and kept: a class whose __new__ was taken away again refuses its arguments.
        if '__new__' not in vars(stock):
            stock.__new__ = staticmethod(_new)
        _subclasses[stock] = ours


def disable() -> None:
    """Let Chainer build its own nodes again. Graphs that exist keep the nodes they have."""
    _subclasses.clear()


def enabled() -> bool:
    """True while Chainer's functions build the compiled nodes."""
    return bool(_subclasses)


@contextlib.contextmanager
def using(flag: bool = True) -> Iterator[None]:
    """Enable, or with False disable, within a ``with`` block; afterwards as before."""
    before = enabled()
    (enable if flag else disable)()
    try:
        yield
    finally:
        (enable if before else disable)()


def warm_up() -> None:
    """Load every kernel, compiling what is not in the cache, and enable nothing."""
    _nodes()
    for name in ('warp', 'row_products'):
        importlib.import_module('chainer_kfac.functions.' + name)


def stock_type(thing) -> type:
    """The class of an object; Chainer's where it is of one of the compiled subclasses."""
    kind = type(thing)
    return kind.__base__ if kind.__module__.startswith('chainer_kfac.functions.') else kind


def _new(cls, *args, **kwargs):
    return object.__new__(_subclasses.get(cls, cls))


def _nodes():
    return [(getattr(importlib.import_module(theirs), name),
             getattr(importlib.import_module('chainer_kfac.functions.' + ours), name))
            for theirs, name, ours in _SEAMS]
