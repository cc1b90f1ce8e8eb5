"""Proposals: hyperopt's TPE, or random points, for one trial at a time."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainer_kfac.compat import require
from chainer_kfac.search.documents import DONE, Experiment
from chainer_kfac.search.space import Space

ALGORITHMS = ('tpe', 'random')
GAMMA, STARTUP, CANDIDATES = 0.25, 20, 24
"""hyperopt's defaults: the best ceil(gamma * sqrt(n)) trials, at most 25, make l(x); so many
random trials first; the best of so many draws from l."""


class Suggester:
    """Draws the hyperparameters of a trial.

    The draw depends on the experiment's seed, the trial's number and the trials so far, on nothing
    else: a driver that is started again does not repeat points.

    Args:
        space (Space): what varies.
        algorithm (str): one of ``ALGORITHMS``.
        seed (int): of the experiment.
        gamma (float), startup (int), candidates (int): of TPE, see above.
    """

    def __init__(self, space: Space, algorithm: str = 'tpe', seed: int = 0, gamma: float = GAMMA,
                 startup: int = STARTUP, candidates: int = CANDIDATES):
        require('hyperopt', 'the search')
        self._tpe = require('hyperopt.tpe', 'the search')
        self._random = require('hyperopt.rand', 'the search')
        base = require('hyperopt.base', 'the search')
        self._domain = base.Domain(lambda point: None, space.expression())
        self._seed = seed
        self._algorithm = algorithm
        self._options = {'gamma': gamma, 'n_startup_jobs': startup, 'n_EI_candidates': candidates}

    @classmethod
    def of(cls, experiment: Experiment) -> 'Suggester':
        """With the options of an experiment."""
        keys = ('algorithm', 'seed', 'gamma', 'startup', 'candidates')
        return cls(experiment.space, **{key: experiment.search[key] for key in keys})

    def __call__(self, tid: int, trials: Sequence[dict[str, Any]]) -> tuple[dict[str, float], str]:
        """Propose a point.

        Args:
            tid (int): number of the new trial.
            trials (sequence of dict): all trials so far. One without a loss (waiting, running,
                failed) counts as infinitely bad, which keeps parallel proposals apart.
        Returns:
            (dict, str): a value for each hyperparameter, and 'tpe' or 'random'.
        """
        seed = int(np.random.SeedSequence([self._seed, tid]).generate_state(1)[0] >> 1)
        observed = _Observed([_as_hyperopt_reads_it(trial) for trial in trials])
        if self._algorithm == 'random' or len(trials) < self._options['n_startup_jobs']:
            documents, origin = self._random.suggest([tid], self._domain, observed, seed), 'random'
        else:
            documents, origin = self._tpe.suggest(
                [tid], self._domain, observed, seed, verbose=False, **self._options), 'tpe'
        vals = documents[0]['misc']['vals']
        return {name: float(each[0]) for name, each in vals.items()}, origin


class _Observed:
    """As much of hyperopt's ``Trials`` as its algorithms use."""

    def __init__(self, trials):
        self.trials = trials

    def __len__(self):
        return len(self.trials)

    def new_trial_docs(self, tids, specs, results, miscs):
        return [{'tid': tid, 'misc': misc} for tid, misc in zip(tids, miscs, strict=True)]


def _as_hyperopt_reads_it(trial):
    """A loss counts only for a trial that ended well, whatever a worker has written."""
    result = trial['result']
    good = trial['state'] == DONE and result.get('status') == 'ok'
    return {'tid': trial['tid'], 'misc': trial['misc'],
            'result': {'loss': result['loss']} if good else {}}
