"""Networks by name."""
from collections.abc import Callable

import chainer

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.models.lenet5 import LeNet5

REGISTRY: dict[str, Callable[..., chainer.Chain]] = {'lenet5': LeNet5}


def build(name: str, n_classes: int = 10, dropout: float = 0.5) -> chainer.Chain:
    """The network ``name`` with freshly drawn weights.

    Raises:
        ConfigError: if there is no such network, or ``dropout`` is not in [0, 1).
    """
    if name not in REGISTRY:
        raise ConfigError('model {!r} is not known: choose one of {}'.format(
            name, ', '.join(sorted(REGISTRY))))
    if not 0 <= dropout < 1:
        raise ConfigError('dropout must be at least 0 and below 1, got {!r}'.format(dropout))
    return REGISTRY[name](n_classes=n_classes, dropout=dropout)
