"""Equal parameters on all ranks before the first gradient, lazy ones included."""
from collections.abc import Callable

import chainer

from chainer_kfac.exceptions import ConfigError


def give_initial_parameters(comm, model: chainer.Link, lossfun: Callable, args, kwds) -> None:
    """Give all ranks the parameters of rank 0. Collective.

    Parameters whose shape the first input decides are made by a forward pass: in test mode, which
    draws no random numbers and moves no statistics; if that does not make all of them, the way
    the model trains.

    Raises:
        ConfigError: if one has no shape after that, on any rank: made later, it would differ.
    """
    for train in (False, True):
        if all(param.is_initialized for param in model.params()):
            break
        with chainer.no_backprop_mode(), chainer.using_config('train', train):
            lossfun(*args, **kwds)
    _check_shapes(comm, model)
    comm.bcast_data(model)


def check_parameters(comm, model: chainer.Link) -> None:
    """See that a model whose loss was computed before the first update is the same on all ranks.

    Raises:
        ConfigError: if a parameter differs or has no shape. Collective: on every rank.
    """
    _check_shapes(comm, model)
    params = sorted(model.namedparams(include_uninit=False))
    sums = comm.numbers([float(param.array.sum()) for _, param in params])
    for (name, _), values in zip(params, sums.T, strict=True):
        if (values != values[0]).any():
            raise ConfigError('{} differs between ranks: call comm.bcast_data(model) before the '
                              'first loss, or give update() the loss function'.format(name))


def _check_shapes(comm, model):
    names = [name for name, param in sorted(model.namedparams()) if not param.is_initialized]
    for rank, lacking in enumerate(comm.mpi_comm.allgather(names)):
        if lacking:
            raise ConfigError('{} has no shape on rank {}, which did not use its layer: give the '
                              'layer the size of its input'.format(lacking[0], rank))
