"""The options of a search, checked."""
from typing import Any

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search import pruning
from chainer_kfac.search.suggest import ALGORITHMS, CANDIDATES, GAMMA, STARTUP

LEASE, SETBACKS = 60.0, 3
_LOWEST = {'trials': 1, 'seed': 0, 'gamma': 0.01, 'startup': 1, 'candidates': 1, 'lease': 2,
           'setbacks': 0}
_HIGHEST = 10**9


def search(*, trials: int, algorithm: str = 'tpe', seed: int = 0, gamma: float = GAMMA,
           startup: int = STARTUP, candidates: int = CANDIDATES, prune: str = 'both',
           lease: float = LEASE, setbacks: int = SETBACKS) -> dict[str, Any]:
    """The part ``search`` of an experiment.

    Args:
        trials (int): how many trials.
        algorithm (str), seed (int), gamma (float), startup (int), candidates (int): see
            `suggest.Suggester`.
        prune (str): one of ``pruning.RULES``.
        lease (float): seconds of silence after which a trial is taken from its worker.
        setbacks (int): how often that may happen to a trial.
    Raises:
        ConfigError: naming the option and its value.
    """
    found = {'trials': trials, 'algorithm': algorithm, 'seed': seed, 'gamma': gamma,
             'startup': startup, 'candidates': candidates, 'prune': prune, 'lease': lease,
             'setbacks': setbacks}
    for key, lowest in _LOWEST.items():
        if not found[key] >= lowest:
            raise ConfigError('--{} must be at least {}, got {}'.format(key, lowest, found[key]))
        if found[key] > _HIGHEST:
            raise ConfigError('--{} must be at most {}, got {}'.format(key, _HIGHEST, found[key]))
    for key, known in (('algorithm', ALGORITHMS), ('prune', pruning.RULES)):
        if found[key] not in known:
            raise ConfigError('--{} must be one of {}, got {!r}'.format(
                key, ', '.join(known), found[key]))
    return found
