"""An experiment with everything that the database has about it."""
import dataclasses
from typing import Any

from chainer_kfac.search import experiments, results
from chainer_kfac.search.documents import Experiment
from chainer_kfac.search.store import Store


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        experiment (Experiment): what was searched.
        trials (list of dict): whole documents in order of their number, those that are sound.
        duplicates (list of dict): late results that do not count.
    """

    experiment: Experiment
    trials: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]

    @classmethod
    def load(cls, store: Store, exp_key: str) -> 'Found':
        """Read it; raises SearchError if there is no such experiment."""
        experiment = experiments.load(store, exp_key)
        trials = filter(experiment.is_sound, store.jobs.find({'exp_key': exp_key}))
        trials = sorted(trials, key=lambda trial: trial['tid'])
        return cls(experiment, trials, list(store.duplicates.find({'exp_key': exp_key})))

    def status(self) -> list[str]:
        """A few lines for a reader."""
        return results.status(self.experiment, self.trials, len(self.duplicates))
