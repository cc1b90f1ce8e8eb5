"""The half of K-FAC that lets nothing unsafe into weights, momenta and running averages.

On the CPU everything is looked at before it is used. On a device each look would wait until all
that was queued is done, so a step waits once, in `check`. What comes after that, the statuses of
its inverses and whether its preconditioned gradients are finite, stays on the device: the update
rules make the update only if all is well, and the host learns of it in the next `check`, or from
`settle`, which snapshots and `diagnostics` call. So an update that must not be made never is, on
either; on a device it is logged and counted a step later, and inverses that failed at their first
attempt cost that one update, before the next step tries all that `fisher.recovery` knows.
"""
from typing import Any, NamedTuple

import chainer
import numpy as np

from chainer_kfac.fisher import FisherBlock
from chainer_kfac.fisher.state import is_loading
from chainer_kfac.linalg import Later, finite_flags, is_on_host, read
from chainer_kfac.optimizers.diagnostics import Diagnostics
from chainer_kfac.optimizers.recording import RecordingMethod
from chainer_kfac.optimizers.update_rule import rule_of

NOT_FINITE = 'a preconditioned or hooked gradient is not finite'
NOT_AT_ONCE = 'the factors of {} could not be inverted at the first attempt'


class UnsafeUpdateError(Exception):
    """This update cannot be made; the text says why."""


class Late(NamedTuple):
    """What a step on a device took for granted, and did not wait for.

    Attributes:
        iteration: that of the step.
        blocks: those whose inverses were new in it.
        flags (array): on the device, not zero where things are as they should be: for each of
            ``blocks`` the status of its inverses; then, of an update, whether what it follows is
            finite. It has moved weights and momenta only if all of them are.
        is_update: whether there was an update.
    """

    iteration: int
    blocks: list
    flags: Any
    is_update: bool


class CheckedMethod(RecordingMethod):
    """A recording method with the checks of a step.

    Attributes:
        diagnostics (dict): counts of what happened, see `chainer_kfac.optimizers.diagnostics`.
    """

    def _forget(self):
        super()._forget()
        self._late = None
        self._unread = []           # (block, status) of the inverses that this step made
        self._failed_late = False

    def agree(self, failure: str | None) -> None:
        """Skip this update if there is a ``failure`` in any process; there is one here.

        Raises:
            UnsafeUpdateError: with that text.
        """
        if failure is not None:
            raise UnsafeUpdateError(failure)

    def check(self) -> None:
        """Let no NaN or infinity get any further.

        On a device this is where a step waits, once: for all that it must know of itself, and for
        what the step before took for granted.
        """
        self.reallocate_cleared_grads()
        losses, self._losses = self._losses, []
        late, self._late, self._unread = self._late, None, []
        checked = [(name, param.grad)
                   for name, param in self.target.namedparams(include_uninit=False)
                   if param.grad is not None]
        checked += [(block.name, array) for block in self.blocks
                    for array in block.estimate.witnesses()]
        unseen = self.unseen_blocks()
        terms = [self._terms] if isinstance(self._terms, Later) else []
        found = iter(read(
            finite_flags([array for _, array in checked]), *losses,
            *((block.W.grad != 0).any() for block in unseen), *(each.array for each in terms),
            *([] if late is None else [late.flags])))
        finite, losses = next(found), [next(found)[0] for _ in losses]
        for block, has_gradient in zip(unseen, found):
            if has_gradient[0]:
                self._diagnostics.unseen(self.t, block.name)
        for each, value in zip(terms, found):
            each.set(value[0])
        for flags in found:
            self.learn(late, flags)
        self.agree(_failure(losses, [name for (name, _), ok in zip(checked, finite) if not ok]))

    def unseen_blocks(self) -> list[FisherBlock]:
        """Blocks that have never recorded a call, though their weights may have gradients."""
        return [block for block in self.blocks if block.enabled and block.W.grad is not None
                and not block.factors.ready and not block.estimate.examples]

    def check_directions(self, directions):
        """Look at what will be followed; hooks may have spoiled plain gradients, too.

        On a device the answer stays there with the statuses of this step's inverses: the update
        rules are told to wait for it, and the host learns of it at the next `check`.
        """
        covered = {id(param) for param, _ in directions}
        params = list(self.target.params(include_uninit=False))
        plain = [param.grad for param in params if id(param) not in covered]
        flags = finite_flags([*(direction for _, direction in directions), *plain])
        if is_on_host(flags):
            self.agree(None if all(flags) else NOT_FINITE)
            return
        self._late = self._late_of([flags.all()], is_update=True)
        condition = self._late.flags.all()
        for param in params:
            if rule_of(param) is not None:
                param.update_rule.only_if(condition)

    def _late_of(self, flags, is_update):
        flags = [*(ok for _, ok in self._unread), *flags]
        xp = chainer.backend.get_array_module(*flags)
        return Late(self.t, [block for block, _ in self._unread], xp.stack(flags), is_update)

    @property
    def diagnostics(self) -> Diagnostics:
        """Counts of what happened, the last step included: on a device this waits for it."""
        self.settle()
        return self._diagnostics

    def settle(self) -> None:
        """Wait for what the last step on a device took for granted, if nobody has yet."""
        late, self._late = self._late, None
        if late is not None:
            self.learn(late, read(late.flags)[0])

    def learn(self, late: Late, flags: np.ndarray) -> None:
        """Take notice of how a step went, from its flags on the host; drop inverses that failed."""
        failed = [block for block, ok in zip(late.blocks, flags) if not ok]
        for block in failed:
            block.factors.distrust()
        if late.is_update and not flags.all():
            self._diagnostics['updates'] -= 1
            self._diagnostics.skipped(late.iteration, NOT_AT_ONCE.format(', '.join(
                dict.fromkeys(block.name for block in failed))) if failed else NOT_FINITE)
            self._failed_late = True

    def has_failed(self, updated: bool) -> bool:
        """At the end of a step: whether this update, or one before it, was not made after all."""
        if not updated and self._unread:
            self._late = self._late_of([], is_update=False)
        failed_late, self._failed_late = self._failed_late, False
        return not updated or failed_late

    def serialize(self, serializer) -> None:
        """As `RecordingMethod.serialize`, with all that there is to know of the steps so far."""
        if is_loading(serializer):
            self._late = None
        self.settle()
        super().serialize(serializer)


def _failure(losses, names):
    """Why an update cannot be made, or None."""
    for loss in losses:
        if not np.isfinite(loss):
            return 'the loss is {}'.format(loss)
    if not names:
        return None
    return 'a NaN or an infinity is in the gradients or factors of ' + ', '.join(
        dict.fromkeys(names))
