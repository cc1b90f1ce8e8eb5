"""Equal parameters on all ranks before the first gradient, lazy ones included."""
from collections.abc import Callable

import chainer


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
