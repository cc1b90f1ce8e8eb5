"""Equal parameters on all ranks before the first gradient, lazy ones included."""
from collections.abc import Callable

import chainer

from chainer_kfac.exceptions import ConfigError


def give_initial_parameters(comm, model: chainer.Link, lossfun: Callable, args, kwds) -> None:
    """Give all ranks the parameters of rank 0. Collective.

    Parameters whose shape the first input decides are made by a forward pass: in test mode, which
    draws no random numbers and moves no statistics; if that does not make all of them, the way
    the model trains.
    """
    for train in (False, True):
        if all(param.is_initialized for param in model.params()):
            break
        with chainer.no_backprop_mode(), chainer.using_config('train', train):
            lossfun(*args, **kwds)
    comm.bcast_data(model)


def check_parameters(comm, model: chainer.Link) -> None:
    """See that a model whose loss was computed before the first update is the same on all ranks.

    Raises:
        ConfigError: if a parameter differs. Collective: on every rank.
    """
    params = sorted(model.namedparams(include_uninit=False))
    sums = comm.numbers([float(param.array.sum()) for _, param in params])
    for (name, _), values in zip(params, sums.T, strict=True):
        if (values != values[0]).any():
            raise ConfigError('{} differs between ranks: call comm.bcast_data(model) before the '
                              'first loss, or give update() the loss function'.format(name))
