"""One search from the options of its user: the database, the experiment, the driver."""
import contextlib
import dataclasses
import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chainer_kfac import resources
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search import experiments, first, space
from chainer_kfac.search.address import Address
from chainer_kfac.search.documents import Experiment
from chainer_kfac.search.driver import Driver
from chainer_kfac.search.found import Found
from chainer_kfac.search.live import Live
from chainer_kfac.search.local_workers import LocalWorkers
from chainer_kfac.search.server import EmbeddedServer
from chainer_kfac.search.store import Store
from chainer_kfac.sweeps import devices, plan, profiles
from chainer_kfac.training import RunConfig

logger = logging.getLogger(__name__)

_FLAGS = {'optimizer': 'use --optimizer', 'batch_size': 'use --batch', 'profile': 'use --profile',
          'dataset': 'use --dataset', 'select_on': 'use --select-on', 'device': 'use --device',
          'experiment': 'use --exp-key', 'variant': 'a trial has none',
          'curvature_epochs': 'use it with train or table1'}
_PROFILE_FIELDS = ('epochs', 'min_updates', 'train_size', 'test_size', 'lr_decay_epoch_scale')


@contextlib.contextmanager
def opened(address: Address | None, root: str | os.PathLike) -> Iterator[tuple[Store, Any]]:
    """The database at the address, or else the embedded one below ``root/search``.

    Yields:
        (Store, callable): the database, and what to call when it does not answer.
    Raises:
        ServerError: if it cannot be used.
    """
    with contextlib.ExitStack() as stack:
        revive = _nothing
        if address is None:
            server = stack.enter_context(EmbeddedServer(os.path.join(root, 'search', 'server')))
            address, revive = server.address, server.ensure
        store = Store.open(address)
        stack.callback(store.close)
        yield store, revive


@dataclasses.dataclass(frozen=True)
class Request:
    """What a user wants searched.

    Attributes:
        optimizer (str), batch_size (int): the cell.
        profile (str), dataset (str or None): as for ``table1``.
        select_on (str): the images that choose.
        fixed (mapping): further fields of every trial.
        exp_key (str or None): a name; made of the others when None.
        search (mapping): options of the search.
        space (str or None): file of the space; that of the optimizer when None.
        workers (int): local workers.
        device (str or int): of the local workers.
    """

    optimizer: str
    batch_size: int
    search: Mapping[str, Any]
    profile: str = 'auto'
    dataset: str | None = None
    select_on: str = 'test'
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    exp_key: str | None = None
    space: str | None = None
    workers: int = 1
    device: str | int = 'auto'


def run(request: Request, address: Address | None, root: str | os.PathLike) -> Found:
    """Search until all trials have ended.

    SIGTERM and SIGHUP end it as Ctrl-C does: local workers give their trials back first.

    Returns:
        Found: what it has found.
    Raises:
        KFACError: if the search cannot begin or go on; it loses nothing that was found.
    """
    if request.workers < 0:
        raise ConfigError('--workers must be at least 0, got {}'.format(request.workers))
    exp_key, varied, settings = _what(request)
    with opened(address, root) as (store, revive), _signals():
        experiment = experiments.begin(store, exp_key, 'train', settings, varied, request.search)
        start = first.of_paper(request.optimizer, request.batch_size, varied)
        if start is None:
            logger.warning("the paper's values are not all inside the space: the first trial is "
                           'drawn like the others')
        _announce(experiment, store, request)
        live = Live(experiment)
        workers = LocalWorkers(request.workers, store.address, root, exp_key, request.device)
        try:
            Driver(store, experiment, workers, start, revive, live).run()
        finally:
            live.close()
        found = Found.load(store, exp_key)
    for line in found.status():
        logger.info('%s', line)
    return found


def check(request: Request) -> str:
    """The name of the experiment, if `run` would begin it, as far as that can be told without the
    database; raises KFACError otherwise."""
    exp_key, varied, settings = _what(request)
    experiments.check_usable(Experiment(exp_key, 'new', 'train', settings, varied, request.search))
    return exp_key


def default_name(request: Request, settings: Mapping[str, Any]) -> str:
    """``kfac-bs512-smoke-digits``, with the images that choose where those are held out, and with
    the fields that were fixed."""
    parts = [request.optimizer, 'bs{}'.format(request.batch_size), settings['profile'],
             settings['dataset']]
    if request.select_on != 'test':
        parts.append(request.select_on)
    parts += ['{}_{}'.format(key, value) for key, value in sorted(request.fixed.items())]
    return '-'.join(parts)


def _what(request):
    """The experiment's name, the space, and the settings that all trials share."""
    profile = profiles.choose(request.profile, plan.all_profiles(), devices.gpus())
    path = request.space or resources.find('experiments/search/{}.yaml'.format(request.optimizer))
    varied = space.load(path).without(request.fixed)
    if not varied.dimensions:
        raise ConfigError('every hyperparameter of {} is given: nothing is left to search'.format(
            path))
    if request.workers:
        dataset = profiles.dataset(request.dataset, profile)
    else:  # the images are where the workers are
        dataset = request.dataset or profiles.DATASET
    settings = {**{key: getattr(profile, key) for key in _PROFILE_FIELDS}, **varied.fixed,
                'profile': profile.name, 'dataset': dataset, 'optimizer': request.optimizer,
                'batch_size': request.batch_size, 'select_on': request.select_on, 'seed': 0,
                **request.fixed}
    settings = {key: value for key, value in settings.items() if value is not None}
    return request.exp_key or default_name(request, settings), varied, settings


def fixed_fields(texts: Sequence[str], optimizer: str, batch_size: int) -> dict[str, Any]:
    """``key=value`` texts as values of fields; raises ConfigError for what such a run cannot have.
    """
    keys = [text.partition('=')[0] for text in texts]
    for key in keys:
        if key in _FLAGS:
            raise ConfigError('{} is not for key=value: {}'.format(key, _FLAGS[key]))
    config = RunConfig.parse({'optimizer': optimizer, 'batch_size': batch_size, 'epochs': 1,
                              'lr': 1.0, 'lr_decay_epoch': 1}, texts)
    return {key: getattr(config, key) for key in keys}


def _announce(experiment, store, request):
    search = experiment.search
    logger.info('Experiment %s: %s, %d trials, %s over %s, pruning %s. Database: %s',
                experiment.exp_key, request.optimizer, search['trials'], search['algorithm'],
                ', '.join(experiment.space.names), search['prune'], store.address)
    if not request.workers:
        logger.info('No local worker was asked for: start some with chainer-kfac worker --mongo %s '
                    '--exp-key %s', store.address, experiment.exp_key)


@contextlib.contextmanager
def _signals():
    """Treat the end of a job or a terminal as Ctrl-C."""
    def interrupt(signum, frame):
        raise _Ended(signum)
    old = {each: signal.signal(each, interrupt)
           for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
           if signal.getsignal(each) != signal.SIG_IGN}
    try:
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


class _Ended(KeyboardInterrupt):
    def __init__(self, signum):
        super().__init__('stopped by {}; the same command goes on from there'.format(
            signal.Signals(signum).name))
        self.exit_code = 128 + signum


def _nothing():
    """What there is to do about a database that this process did not start."""
