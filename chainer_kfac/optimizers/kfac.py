"""K-FAC as a Chainer optimizer: the order of one step."""
from collections.abc import Callable, Mapping

import chainer
import numpy as np

from chainer_kfac import fisher as fisher_blocks
from chainer_kfac.fisher.damping import effective_damping
from chainer_kfac.fisher.ema import weight_of_new
from chainer_kfac.fisher.kronecker import invert_together
from chainer_kfac.fisher.path import Path
from chainer_kfac.linalg import is_on_host
from chainer_kfac.optimizers import coverage, hyperparameters, planning
from chainer_kfac.optimizers.checking import CheckedMethod, UnsafeUpdateError
from chainer_kfac.optimizers.hyperparameters import Interval
from chainer_kfac.optimizers.update_rule import rule_of, unscaled_gradient

PHASES = ('reduce', 'check', 'update_factors', 'update_inverses', 'call_pre_hooks', 'precondition')
"""What a step does before it moves the parameters, in this order."""


class KFAC(CheckedMethod):
    """Natural gradient with a Kronecker-factored Fisher matrix and momentum.

    For each covered layer, with D its gradient matrix and m the momentum,

        m <- momentum * m - lr * (G + sqrt(damping)/pi I)^-1 D (A + pi sqrt(damping) I)^-1

    and the weights move by m: the paper's equations 1, 2 and 9-12; arXiv:1503.05671. Parameters
    that no Fisher block covers follow plain momentum. After an update, the ``grad`` of a covered
    parameter (but for float16) is its preconditioned gradient, until the next one. Used like any
    Chainer optimizer:

        optimizer = KFAC(lr=0.001).setup(model)
        optimizer.update(lossfun, *args)        # or through StandardUpdater

    Every argument but ``constructor``, ``seed`` and ``paths`` is a hyperparameter that may be
    changed at any time and is read at every step.

    Args:
        lr (float): learning rate.
        momentum (float): decay of the momentum.
        cov_ema_decay (float, 0 to 1): weight in the running averages of A and G, of the side that
            ``ema_weighs`` names. The first factor is taken as it is; there is no bias correction.
        damping (float): split between A and G; a layer whose weight has a larger L2 coefficient
            (of a `chainer.optimizer_hooks.WeightDecay` on the optimizer or on its update rule)
            uses that instead.
        stab_coeff (float): multiplies the damping of blocks that ask for it (``stabilised``);
            none of the built-in ones does.
        constructor (callable or None): takes a link and returns a `FisherBlock` class, or None to
            leave the link to plain momentum; by default `chainer_kfac.fisher.block_class`.
        pi_type (str): 'tracenorm' or 'none': how the damping is split.
        use_cholesky (bool): invert by Cholesky factors (else by LU).
        loss_scale (float or None): multiplies the loss in backprop, and is undone in the gradients
            and in G.
        adjust_momentum (bool): tie the momentum to the learning rate, as in
            momentum_t = momentum * lr_t / lr_0 with lr_0 that of the first update whose lr is
            not 0.
        acc_iters (int): calls of `update` that make up one update; each brings one micro-batch,
            and together they equal one batch of all their examples.
        ema_weighs (str): 'new' or 'old'.
        fisher (str): 'empirical' (gradients at the labels of the data), 'mc' (at labels drawn
            from the model) or 'exact' (expectation over labels, one backward pass per output).
        factor_update_interval, inverse_update_interval (int or callable): updates from one
            refresh of the factors, or of the inverses, to the next; a callable is given `t`.
        kl_clip (float or None): scale the preconditioned gradients such that
            lr^2 sum(gradient * preconditioned gradient) does not exceed it.
        seed (int): of the labels drawn for 'mc'.
        paths (str, `Path`, mapping or None): force how layers are computed, all by one word or
            path, or each by its name: 'inverse', 'solve', 'thin' or 'rows'. By default a cost
            model and a timing choose: `chainer_kfac.optimizers.planning`.

    Attributes:
        t (int): updates so far, made or skipped.
        blocks (list of FisherBlock): one for each covered layer.
        diagnostics (dict): counts of what happened, see `chainer_kfac.optimizers.diagnostics`.

    Raises:
        ConfigError: if a hyperparameter cannot be used, at construction or at the next `update`.
    """

    def __init__(
            self, lr: float = 0.001, momentum: float = 0.9, cov_ema_decay: float = 0.99,
            damping: float = 0.03, stab_coeff: float = 16.0,
            constructor: Callable[[chainer.Link], type | None] | None = None,
            pi_type: str = 'tracenorm', use_cholesky: bool = True,
            loss_scale: float | None = None, adjust_momentum: bool = False, acc_iters: int = 1, *,
            ema_weighs: str = 'new', fisher: str = 'empirical',
            factor_update_interval: Interval = 1, inverse_update_interval: Interval = 1,
            kl_clip: float | None = None, seed: int = 0,
            paths: str | Path | Mapping[str, str | Path] | None = None):
        given = locals()
        super().__init__(constructor or fisher_blocks.block_class, seed, paths,
                         **{name: given[name] for name in hyperparameters.NAMES})

    # One step: a subclass may replace phases, but not their order

    def step(self) -> None:
        """Turn the recorded gradients and factors into one update."""
        try:
            for phase in PHASES:
                self.run_phase(phase)
        except UnsafeUpdateError as reason:
            self._diagnostics.skipped(self.t, str(reason))
            updated = False
        else:
            self.run_phase('update_parameters')
            updated = True
        self.finish(updated)

    def run_phase(self, name: str) -> None:
        """Run the method of this name."""
        getattr(self, name)()

    def reduce(self) -> None:
        """Average gradients and factors over processes; there is one here."""

    def call_pre_hooks(self) -> None:
        """Run hooks on the gradients, those of the optimizer and of the update rules."""
        self.call_hooks('pre')
        for param in self.target.params(include_uninit=False):
            if rule_of(param) is not None:      # others run theirs when they update
                param.update_rule.call_pre_hooks(param)

    def update_factors(self) -> None:
        """Take this step's factors into the running averages, where they are due."""
        if not self.factors_due:
            return
        weight = weight_of_new(self.cov_ema_decay, self.ema_weighs)
        for block in self.blocks:
            if block.has_new_factors:
                planning.keep_within_tolerance(self, block)
                block.update_factors(weight)
        self._last_factors = self.t
        self._diagnostics['factor_updates'] += 1

    def update_inverses(self) -> None:
        """Invert the damped averages where that is due, following DESIGN's policy on failures."""
        due = self.inverses_due
        blocks = [block for block in self.blocks
                  if block.factors.ready and (due or block.factors.sides is None)]
        recoveries = invert_together(
            [(block.factors, self.damping_of(block)) for block in blocks],
            self.pi_type, self.use_cholesky)
        self._unread = [(block, ok) for block in blocks for ok in block.factors.unread]
        self._count_recoveries([block.name for block in blocks], recoveries, due)

    def _count_recoveries(self, names, recoveries, due):
        failed = []
        for name, recovery in zip(names, recoveries, strict=True):
            self._diagnostics.recovered(self.t, name, recovery)
            if recovery.skipped:
                failed.append(name)
        if due and not failed:
            self._last_inverses = self.t
            self._diagnostics['inverse_updates'] += 1
        self.agree('no damping made the factors of {} positive definite'.format(', '.join(failed))
                   if failed else None)

    def damping_of(self, block: fisher_blocks.FisherBlock) -> float:
        """What a block's inverses are damped with: larger where its weight has a larger L2 rate."""
        damping = effective_damping(self.damping, coverage.l2_coefficient(self, block.W))
        return damping * self.stab_coeff if block.stabilised else damping

    def precondition(self) -> None:
        """Let the update rules follow the preconditioned gradients."""
        product = 0.0
        directions = []
        for block in self.blocks:
            if block.enabled and block.factors.sides is not None:
                found = self.directions_of(block)
                directions += zip(block.params, found, strict=True)
                if self.kl_clip is not None:
                    product += sum((unscaled_gradient(param) * direction).sum().astype(np.float64)
                                   for param, direction in zip(block.params, found, strict=True))
        self.check_directions(directions)
        self._follow(directions, self._kl_scale(product))

    def _follow(self, directions, scale):
        for param, direction in directions:
            if rule_of(param) is None:
                continue
            if not is_on_host(scale) or scale < 1.0:
                xp = chainer.backend.get_array_module(direction)
                direction *= xp.asarray(scale, direction.dtype)
            param.update_rule.follow(direction)

    def directions_of(self, block: fisher_blocks.FisherBlock) -> list:
        """Preconditioned gradients of a block, from rows where hooks left its gradient alone."""
        if self.goes_by_rows(block, block.estimate.has_rows):
            return block.precondition_rows(decay=coverage.only_decay(self, block.params))
        return block.precondition([unscaled_gradient(param) for param in block.params])

    def goes_by_rows(self, block: fisher_blocks.FisherBlock, has_rows: bool) -> bool:
        """Whether this step preconditions a block's rows, and not its gradient."""
        return (block.factors.path.thin and has_rows and block.estimate.is_entire
                and coverage.only_decay(self, block.params) is not None)

    def _kl_scale(self, product):
        """min(1, sqrt(kl_clip / (lr^2 sum of gradient times preconditioned gradient)))."""
        if self.kl_clip is None:
            return 1.0
        xp = chainer.backend.get_array_module(product)
        return xp.sqrt(self.kl_clip / xp.maximum(self.lr ** 2 * product, self.kl_clip))

    def update_parameters(self) -> None:
        """Move momentum and weights."""
        for param in self.target.params():
            param.update()
        self._diagnostics['updates'] += 1

    def finish(self, updated: bool) -> None:
        """Count, report and forget the step."""
        self.t += 1
        for block in self.blocks:
            block.end_step()
        self.reallocate_cleared_grads()
        if updated:
            self.call_hooks('post')
        self._note_overflow(self.has_failed(updated))
        self.update_loss_scale()
        self._diagnostics.report(self.observations())

    def observations(self) -> dict[str, float]:
        """What is reported after every step, under ``kfac/``, beside what was counted."""
        return {'damping': self.damping}
