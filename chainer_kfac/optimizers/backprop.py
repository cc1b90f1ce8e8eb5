"""Backpropagation that also shows every Fisher block what it needs.

Empirical Fisher: the output gradients of the loss itself, at the data's labels. Sampled Fisher:
one further pass with labels drawn from the model. Exact: one further pass per output. The further
passes go through the same graph and compute no parameter gradients.
"""
from collections.abc import Callable

import chainer
import numpy as np

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import FisherBlock
from chainer_kfac.fisher.estimate import Batch
from chainer_kfac.optimizers import output_fisher
from chainer_kfac.optimizers.recorder import Recorder


def backprop(loss: chainer.Variable, blocks, fisher: str, random: np.random.Generator, *,
             factors: bool, loss_scale: float | None, unformed=(),
             plan: Callable[[], None] = lambda: None,
             recorded: Callable[[FisherBlock, float | None], None] = lambda block, terms: None,
             ) -> Batch:
    """Run ``loss.backward()`` and let ``blocks`` take in what it says about them.

    Args:
        loss: of shape (), a mean over the batch; its graph must be alive.
        blocks (list of FisherBlock): those to record.
        fisher: 'empirical', 'mc' or 'exact'.
        random: draws the labels of 'mc'.
        factors: whether new factors are wanted from this pass.
        loss_scale: factor on the loss, undone in the factors but not in the gradients.
        unformed: those of ``blocks`` that do without the gradient of their weight.
        plan: called when the blocks have recorded the loss' own pass.
        recorded: called with a block that has recorded a call of that pass, and with the terms of
            the loss if they are known by then.
    Returns:
        Batch
    Raises:
        ConfigError: if the loss has no output distribution and ``fisher`` needs one.
    """
    sampled = factors and fisher != 'empirical'
    distribution = output_fisher.require(loss, fisher) if sampled else output_fisher.find(loss)
    terms = None if distribution is None else distribution.terms
    with Recorder(blocks, want_A=factors, want_G=factors and not sampled, unformed=unformed,
                  recorded=lambda block: recorded(block, terms)):
        loss.backward(loss_scale=loss_scale)
    plan()
    if sampled:
        if fisher == 'exact':
            seeds = distribution.exact_seeds()
        else:
            seeds = [distribution.sampled_seed(random)]
        _record_samples(blocks, distribution.output, seeds, loss_scale)
    batch = _batch_of(distribution, blocks, loss_scale)
    for block in blocks:
        block.close(batch)
    return batch


def _record_samples(blocks, output, seeds, loss_scale):
    uses = [(block, use) for block in blocks for use in block.uses]
    if not uses:
        return
    variables = [use.output.get_variable() for _, use in uses]
    for seed in seeds:
        if loss_scale is not None:
            seed *= loss_scale
        seed = chainer.Variable(seed.astype(output.dtype, copy=False), requires_grad=False)
        grads = chainer.grad([output], variables, [seed])
        for (block, use), grad in zip(uses, grads, strict=True):
            if grad is None:
                raise ConfigError(
                    "the output of {} does not reach the loss through the graph, which the sampled "
                    "and exact Fisher need: call it outside chainer.functions.forget or use "
                    "fisher='empirical'".format(block.name))
            block.record_sample(use, grad.array)


def _batch_of(distribution, blocks, loss_scale):
    """N and s of the pass; of an unknown loss the shortest batch axis that a block has seen."""
    loss_scale = 1.0 if loss_scale is None else float(loss_scale)
    if distribution is not None:
        return Batch(distribution.examples, distribution.terms, loss_scale)
    examples = min((use.examples for block in blocks for use in block.uses), default=1)
    return Batch(examples, float(examples), loss_scale)
