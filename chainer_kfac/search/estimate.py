"""How long a trial takes, to know whether another one fits."""
from chainer_kfac.search.documents import DONE
from chainer_kfac.search.store import Store

RECENT = 8


class Durations:
    """Durations of trials: this worker's own, and until it has one, those of the others.

    Args:
        store (Store): the database.
        exp_key (str or None): the experiment to look at.
    """

    def __init__(self, store: Store, exp_key: str | None = None):
        self._store = store
        self._query = {'state': DONE}
        if exp_key is not None:
            self._query['exp_key'] = exp_key
        self._own = []

    def add(self, seconds: float) -> None:
        """Note a trial of this worker."""
        self._own = [*self._own[1 - RECENT:], seconds]

    def longest(self) -> float:
        """Seconds that the longest of the recent trials took; 0 while nothing is known."""
        return max(self._own or self._others(), default=0.0)

    def _others(self):
        found = self._store.jobs.find(self._query, projection=['result'], limit=RECENT,
                                      sort=[('tid', -1)])
        seconds = [trial['result'].get('seconds') for trial in found
                   if isinstance(trial.get('result'), dict)]
        return [each for each in seconds if isinstance(each, (int, float))]
