"""Which parameters K-FAC covers, and with what L2 coefficient."""
import logging
from collections.abc import Callable

import chainer

from chainer_kfac import functions
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import FisherBlock
from chainer_kfac.linalg import Workspace

logger = logging.getLogger(__name__)


def blocks_of(model: chainer.Link, constructor: Callable) -> list[FisherBlock]:
    """A Fisher block for each link of ``model`` that ``constructor`` has a block class for.

    A link or weight that appears twice is covered once, under its first name.
    """
    blocks = []
    seen = set()
    workspace = Workspace()
    for name, link in model.namedlinks():
        block_class = constructor(link)
        if block_class is None:
            continue
        block = block_class(link, name, workspace)
        if id(block.W) not in seen:
            seen.add(id(block.W))
            blocks.append(block)
    return blocks


def announce(model: chainer.Link, blocks: list[FisherBlock]) -> None:
    """Log which parameters are preconditioned and which follow plain momentum.

    Raises:
        ConfigError: if a parameter is a ChainerX array, which the hook cannot see.
    """
    covered, plain = names(model, blocks)
    logger.info('K-FAC preconditions %d parameters: %s', len(covered), ', '.join(covered) or '-')
    logger.info('plain momentum updates %d parameters: %s', len(plain), ', '.join(plain) or '-')
    for name, param in model.namedparams(include_uninit=False):
        if param.device.xp is chainer.backend.chainerx:
            raise ConfigError('{} is a ChainerX array, which K-FAC does not support: move the '
                              'model to NumPy or CuPy'.format(name))


def names(model: chainer.Link, blocks: list[FisherBlock]) -> tuple[list[str], list[str]]:
    """Names of the parameters that ``blocks`` cover, and of the others."""
    ids = {id(param) for block in blocks for param in block.params}
    covered, plain = [], []
    for name, param in model.namedparams():
        (covered if id(param) in ids else plain).append(name)
    return covered, plain


def l2_coefficient(optimizer: chainer.optimizer.GradientMethod, param: chainer.Parameter) -> float:
    """Sum of the rates of the WeightDecay hooks that act on ``param`` before an update."""
    return sum(hook.rate for hook in _pre_hooks(optimizer, param)
               if isinstance(hook, chainer.optimizer_hooks.WeightDecay))


def only_decay(optimizer: chainer.optimizer.GradientMethod,
               params: list[chainer.Parameter]) -> float | None:
    """The L2 coefficient of all ``params`` if hooks do nothing else to their gradients, or None."""
    plain = all(functions.stock_type(hook) is chainer.optimizer_hooks.WeightDecay
                for param in params for hook in _pre_hooks(optimizer, param))
    rates = {l2_coefficient(optimizer, param) for param in params}
    return rates.pop() if plain and len(rates) == 1 else None


def _pre_hooks(optimizer, param):
    hookables = [optimizer._hookable]
    if param.update_rule is not None:
        hookables.append(param.update_rule._hookable)
    return [hook for hookable in hookables for hook in hookable._pre_update_hooks.values()]
