"""What K-FAC counts, says in the log and reports to Chainer's observations."""
import logging

import chainer
import numpy as np

logger = logging.getLogger('chainer_kfac.optimizers')

COUNTS = (
    'updates',              # steps that changed the weights
    'skipped_updates',      # steps that did not, because of what failed
    'factor_updates',       # of the running averages
    'inverse_updates',      # refreshes of the inverses of all blocks
    'float64_retries',      # block inverses that float32 could not do
    'raised_dampings',      # block inverses that only a larger damping made possible
)


class Diagnostics(dict):
    """Counts since the start of training: plain numbers by name, part of the snapshot."""

    def __init__(self):
        super().__init__((name, 0) for name in COUNTS)
        self._reported = dict(self)
        self._unseen = set()

    def skipped(self, iteration: int, reason: str) -> None:
        """Count an update that was not made, and say why."""
        self['skipped_updates'] += 1
        logger.warning('iteration %d: update skipped, %s; weights and momentum are as before',
                       iteration, reason)

    def recovered(self, iteration: int, name: str, recovery) -> None:
        """Count how the inverses of block ``name`` were obtained, if not at the first attempt."""
        if not recovery.retried:
            return
        self['float64_retries'] += 1
        if recovery.raised:
            self['raised_dampings'] += 1
        if not recovery.skipped:
            logger.warning('iteration %d: a factor of %s could not be inverted in its own '
                           'precision; it was in float64 with damping %.3g', iteration, name,
                           recovery.damping)

    def unseen(self, iteration: int, name: str) -> None:
        """Say once that the covered layer ``name`` follows plain momentum all the same."""
        if name not in self._unseen:
            self._unseen.add(name)
            logger.warning('iteration %d: the weight of %s has a gradient, but not from a function '
                           'that its Fisher block knows; it follows plain momentum',
                           iteration, name)

    def report(self, values: dict) -> None:
        """Report ``values`` and what was counted since the last call, under ``kfac/``.

        Averaged by LogReport over its interval, ``kfac/skipped_updates`` is the share of updates
        that were skipped.
        """
        news = {name: self[name] - self._reported[name]
                for name in ('skipped_updates', 'float64_retries', 'raised_dampings')}
        self._reported = dict(self)
        chainer.report({'kfac/' + name: value for name, value in {**values, **news}.items()})

    def serialize(self, serializer) -> None:
        counts = np.array([self[name] for name in COUNTS], np.int64)
        counts = serializer('counts', counts)
        self.update(zip(COUNTS, counts.tolist(), strict=True))
        self._reported = dict(self)
