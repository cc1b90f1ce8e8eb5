"""The parts of Chainer that the sweep covers, and their outcomes on the stack at hand."""
import chainer
import chainer.distributions
import chainer.function_hooks
import chainer.link_hooks
import chainer.training.extensions
import chainer.training.triggers
import chainer.training.updaters

from sweep import data, distributions, functions, initializers, links, optimizers, training
from sweep.inputs import DTYPES
from sweep.run import function_outcome, values_outcome

GROUPS = {
    'functions': (functions, function_outcome, DTYPES),
    'links': (links, values_outcome, DTYPES + ('mixed16',)),
    'optimizers': (optimizers, values_outcome, DTYPES + ('mixed16',)),
    'distributions': (distributions, values_outcome, DTYPES),
    'initializers': (initializers, values_outcome, DTYPES),
    'training': (training, values_outcome, ('float32',)),
    'data': (data, values_outcome, ('float32',)),
}
"""Name of a group -> its module, what is kept of a case, and the dtypes it is run with."""

NAMESPACES = {
    'functions': (chainer.functions,),
    'links': (chainer.links,),
    'optimizers': (chainer.optimizers, chainer.optimizer_hooks),
    'distributions': (chainer.distributions,),
    'initializers': (chainer.initializers,),
    'training': (chainer.training, chainer.training.updaters, chainer.training.extensions,
                 chainer.training.triggers, chainer.function_hooks, chainer.link_hooks),
    'data': (chainer.iterators, chainer.datasets, chainer.dataset, chainer.serializers),
}
"""Name of a group -> the namespaces of Chainer all of whose public names it accounts for."""

LARGE = ('GoogLeNet', 'ResNet50Layers')
"""Cases that are run in single precision only."""


def cases():
    """``(key, case, dtype, outcome function)`` of everything; the key is 'group.name/dtype'."""
    for group in sorted(GROUPS):
        module, outcome, dtypes = GROUPS[group]
        for name, case in sorted(module.CASES.items()):
            for dtype in dtypes:
                if name not in LARGE or dtype == 'float32':
                    yield '{}.{}/{}'.format(group, name, dtype), case, dtype, outcome
