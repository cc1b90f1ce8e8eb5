"""The half of K-FAC that comes before a step: parameters, backprop, micro-batches, state."""
import contextlib
from collections.abc import Callable

import chainer
import numpy as np
from chainer.optimizer import HyperparameterProxy

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import FisherBlock
from chainer_kfac.fisher.state import is_loading
from chainer_kfac.optimizers import coverage, graph, hyperparameters, planning
from chainer_kfac.optimizers.backprop import backprop
from chainer_kfac.optimizers.diagnostics import Diagnostics
from chainer_kfac.optimizers.gradient_sum import GradientSum
from chainer_kfac.optimizers.update_rule import KFACRule


class RecordingMethod(chainer.optimizer.GradientMethod):
    """A gradient method whose Fisher blocks look on during backprop, before `step` is called.

    Args:
        constructor (callable): takes a link and returns a `FisherBlock` class or None.
        seed (int): of the labels drawn for the sampled Fisher.
        paths: as `KFAC` takes it.
        hyperparameters: those of `hyperparameters.NAMES`.

    Attributes:
        blocks (list of FisherBlock): one for each covered layer.
    """

    def __init__(self, constructor: Callable, seed: int, paths, **given):
        super().__init__()
        for name in hyperparameters.NAMES:
            setattr(self.hyperparam, name, given[name])
        hyperparameters.check(self.hyperparam)
        self.constructor = constructor
        self.seed = seed
        self.paths = paths
        self._forget()

    lr = HyperparameterProxy('lr')
    momentum = HyperparameterProxy('momentum')
    cov_ema_decay = HyperparameterProxy('cov_ema_decay')
    damping = HyperparameterProxy('damping')
    stab_coeff = HyperparameterProxy('stab_coeff')
    pi_type = HyperparameterProxy('pi_type')
    use_cholesky = HyperparameterProxy('use_cholesky')
    loss_scale = HyperparameterProxy('loss_scale')
    adjust_momentum = HyperparameterProxy('adjust_momentum')
    acc_iters = HyperparameterProxy('acc_iters')
    ema_weighs = HyperparameterProxy('ema_weighs')
    fisher = HyperparameterProxy('fisher')
    factor_update_interval = HyperparameterProxy('factor_update_interval')
    inverse_update_interval = HyperparameterProxy('inverse_update_interval')
    kl_clip = HyperparameterProxy('kl_clip')

    # Chainer's own loss scaling (StandardUpdater, loss_scaling()) reads and sets this name.
    _loss_scale = HyperparameterProxy('loss_scale')

    def setup(self, link: chainer.Link) -> 'RecordingMethod':
        """Cover the links of ``link``; what was learned of another target is forgotten."""
        super().setup(link)
        self._forget()
        self.blocks = coverage.blocks_of(link, self.constructor)
        return self

    def _forget(self):
        self.blocks = []
        self._diagnostics = Diagnostics()
        self._gradients = GradientSum()
        self._batch = None
        self._terms = 0.0           # that this update's gradients are a mean over
        self._examples = 0          # of this update
        self._losses = []           # of its micro-batches
        self._draws = 0
        self._last_factors = self._last_inverses = -1
        self._is_announced = False

    def create_update_rule(self) -> KFACRule:
        return KFACRule(self.hyperparam)

    def update(self, lossfun: Callable | None = None, *args, **kwds) -> None:
        """Make one update, or with ``acc_iters`` > 1 one micro-batch's part of it.

        Args:
            lossfun: returns the loss, a mean over the batch. If it is None, the loss must have
                been given to `backward` already.
            args, kwds: its arguments.
        """
        with self.dropped_if_broken_off():
            if lossfun is not None:
                self.backpropagate(lossfun(*args, **kwds))
            self.complete_pass()

    def backward(self, loss: chainer.Variable) -> None:
        """Clear all gradients and backpropagate ``loss``; instead of ``loss.backward()``.

        All gradients are formed, and may be changed until `update` is called, which follows them:
        unlike ``update(lossfun)`` no layer does without.

        Raises:
            ConfigError: if `update` has not been called since the loss before, which is dropped.
        """
        with self.dropped_if_broken_off():
            self.backpropagate(loss, final=False)

    def backpropagate(self, loss: chainer.Variable, final: bool = True) -> None:
        """Let the blocks look on while ``loss`` is backpropagated.

        Args:
            loss: a mean over the batch.
            final: whether nothing but hooks can change the gradients before the step, so that the
                recorded rows may stand for them.
        """
        self._check_set_up()
        if self._batch is not None:
            raise ConfigError('KFAC was given a loss before this one and update() was not called '
                              'for it, so both are dropped: call update() after each backward(), '
                              'and give several losses as their sum')
        hyperparameters.check(self.hyperparam)
        self._prepare()
        self.target.cleargrads()
        self._batch = self._record(loss, final)
        self._losses.append(loss.array)

    def _record(self, loss, final):
        random = self.label_draws()
        self._draws += 1
        blocks = [block for block in self.blocks if block.enabled]
        entire = graph.seen_entirely(loss, blocks) if final else set()
        for block in blocks:
            block.estimate.is_entire &= block in entire
            block.unformed = block in entire and planning.needs_no_gradient(self, block)
        batch = backprop(
            loss, blocks, self.fisher, random, factors=self.factors_due,
            loss_scale=self._loss_scale, unformed=[block for block in blocks if block.unformed],
            plan=lambda: self.plan(blocks), recorded=self.recorded)
        for block in blocks:    # one that the loss did not use has no rows to do with
            block.unformed &= block.estimate.has_rows
        return batch

    def complete_pass(self) -> None:
        """Take in the micro-batch that was backpropagated, and make the update it completes.

        Raises:
            ConfigError: if no loss was given to `backward` since the last update.
        """
        if self._batch is None:
            raise ConfigError('KFAC must see the backward pass: give update() the loss function, '
                              'or call optimizer.backward(loss) instead of loss.backward()')
        if self.accumulate():
            self.step()

    @contextlib.contextmanager
    def dropped_if_broken_off(self):
        """Context in which an error makes the update be forgotten, micro-batches before included.

        Else the next would follow what this one has recorded.
        """
        try:
            yield
        except BaseException:
            self._drop_update()
            raise

    def _drop_update(self):
        self._batch, self._losses = None, []
        self._gradients.clear()
        for block in self.blocks:
            block.end_step()

    def label_draws(self) -> np.random.Generator:
        """What the labels of one backward pass are drawn with."""
        return np.random.default_rng([self.seed, self._draws])

    def plan(self, blocks: list[FisherBlock]) -> None:
        """Choose the path of every block that was recorded for the first time."""
        planning.plan(self, blocks)

    def recorded(self, block: FisherBlock, terms: float | None) -> None:
        """Called during the backward pass when ``block`` has recorded a call."""

    def reallocate_cleared_grads(self) -> None:
        """Give zeros to parameters without a gradient, but for those that do without one."""
        unformed = {id(block.W) for block in self.blocks if block.unformed}
        for param in self.target.params(include_uninit=False):
            if param.grad is None and id(param) not in unformed:
                with chainer.using_device(param.device):
                    param.grad = param.device.xp.zeros_like(param.array)

    def _prepare(self):
        if not self._is_announced:
            coverage.announce(self.target, self.blocks)
            self._is_announced = True
        for block in self.blocks:
            block.to_device(block.W.device)

    def accumulate(self) -> bool:
        """Take in a micro-batch; return whether it completes an update."""
        batch, self._batch = self._batch, None
        if self.acc_iters == 1 and not self._gradients.count:
            self._terms, self._examples = batch.terms, batch.examples
            return True
        self._gradients.add(self.target, float(batch.terms), batch.examples)
        if self._gradients.count < self.acc_iters:
            return False
        self._terms, self._examples = self._gradients.weight, self._gradients.examples
        for block in self.blocks:
            block.estimate.complete(self._examples, self._terms)
        self._gradients.give_back(self.target)
        return True

    def step(self) -> None:
        """Turn recorded gradients and factors into one update."""
        raise NotImplementedError

    @property
    def factors_due(self) -> bool:
        """Whether this update refreshes the running averages."""
        return self._due('factor_update_interval', self._last_factors)

    @property
    def inverses_due(self) -> bool:
        """Whether this update refreshes the inverses."""
        return self._due('inverse_update_interval', self._last_inverses)

    def interval(self, name: str) -> int:
        """The value in force of 'factor_update_interval' or 'inverse_update_interval'."""
        return hyperparameters.interval_at(name, getattr(self, name), self.t)

    def _due(self, name, last):
        return last < 0 or self.t - last >= self.interval(name)

    def _note_overflow(self, overflow):
        """Tell Chainer's dynamic loss scaling, which halves the scale after an overflow."""
        self._loss_scaling_isnan = overflow
        self._loss_scaling_isnan_ever = overflow or getattr(self, '_loss_scaling_isnan_ever', False)

    def serialize(self, serializer) -> None:
        """Save or load everything that the next update depends on, but for the model itself."""
        super().serialize(serializer)
        if is_loading(serializer):
            self._drop_update()
        for name in ('_draws', '_last_factors', '_last_inverses'):
            setattr(self, name, serializer(name[1:], getattr(self, name)))
        if self._loss_scaling_is_dynamic:
            self._loss_scale = serializer('loss_scale', self._loss_scale)
            self._note_overflow(serializer(
                'overflow', getattr(self, '_loss_scaling_isnan_ever', False)))
        self._diagnostics.serialize(serializer['diagnostics'])
        self._gradients.serialize(serializer['gradients'], self.target)
        for block in self.blocks:
            block.serialize(serializer['block' + block.name], with_inverses=not self.inverses_due)
