"""Experiments by name: begin or join, list, delete."""
import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search import objectives
from chainer_kfac.search.documents import DONE, ERROR, RUNNING, Experiment, check_exp_key
from chainer_kfac.search.errors import SearchError
from chainer_kfac.search.space import Space
from chainer_kfac.search.store import Store

_errors = require('pymongo.errors', 'the search')


def begin(store: Store, exp_key: str, objective: str, settings: Mapping[str, Any], space: Space,
          search: Mapping[str, Any]) -> Experiment:
    """The experiment of that name, new or as it was left.

    Options of the search may differ from those of an earlier call, and are stored by
    `keep_options`; what gives a trial its meaning may not.

    Raises:
        SearchError: naming what differs from the experiment that is there, or an option that
            cannot be stored.
        ConfigError: for settings that the objective does not take, also with values at the bounds
            of the space.
    """
    check_exp_key(exp_key)
    wanted = Experiment(exp_key, uuid.uuid4().hex[:8], objective, dict(settings), space,
                        dict(search))
    check_usable(wanted)
    try:
        store.experiments.insert_one(wanted.document())
        store.experiments.update_one({'_id': exp_key}, {'$currentDate': {'created': True}})
        return wanted
    except _errors.DuplicateKeyError:
        pass
    there = load(store, exp_key)
    there.check_version()
    _check_same(there, wanted)
    return dataclasses.replace(there, search=dict(search))


def keep_options(store: Store, experiment: Experiment) -> None:
    """Store the options of the search for its workers; for the driver that holds the lease."""
    store.experiments.update_one({'_id': experiment.exp_key, 'uid': experiment.uid},
                                 {'$set': {'search': dict(experiment.search)}})


def load(store: Store, exp_key: str) -> Experiment:
    """The experiment of that name.

    Raises:
        SearchError: if there is none; the message lists those that there are.
    """
    experiment = find(store, exp_key)
    if experiment is None:
        raise SearchError('there is no experiment {} in {}: it has {}'.format(
            exp_key, store.address, ', '.join(names(store)) or 'none'))
    return experiment


def find(store: Store, exp_key: str) -> Experiment | None:
    """The experiment of a name; None before it has begun."""
    document = store.experiments.find_one({'_id': check_exp_key(exp_key)})
    return None if document is None else Experiment.from_document(document)


def is_over(store: Store, exp_key: str) -> bool:
    """Whether all trials of the experiment have ended; not so before it has begun."""
    experiment = find(store, exp_key)
    if experiment is None:
        return False
    ended = {'exp_key': exp_key, 'state': {'$in': [DONE, ERROR]}}
    return (store.jobs.count_documents(ended)
            >= experiment.search['trials'])


def names(store: Store) -> list[str]:
    """Names of all experiments, in order."""
    return sorted(str(each['_id']) for each in store.experiments.find({}, projection=['_id']))


def only(store: Store) -> str:
    """The name of the one experiment that there is; raises SearchError unless there is just one.
    """
    known = names(store)
    if len(known) != 1:
        raise SearchError('{} holds {}: say which by --exp-key'.format(
            store.address, 'the experiments ' + ', '.join(known) if known else 'no experiment'))
    return known[0]


def delete(store: Store, exp_key: str) -> int:
    """Delete an experiment with all its trials.

    The experiment goes first: a worker that holds one of its trials then refuses it.

    Returns:
        int: number of trials deleted.
    Raises:
        SearchError: if there is none of that name, or a trial of it is running.
    """
    if store.experiments.find_one({'_id': check_exp_key(exp_key)}) is None:
        load(store, exp_key)    # which says what there is
    if store.jobs.find_one({'exp_key': exp_key, 'state': RUNNING}) is not None:
        raise SearchError('experiment {} has running trials: stop its workers and its driver '
                          'first, and wait for the lease of the trials to run out'.format(exp_key))
    store.experiments.delete_one({'_id': exp_key})
    deleted = store.jobs.delete_many({'exp_key': exp_key}).deleted_count
    for collection in (store.drivers, store.duplicates):
        collection.delete_many({'exp_key': exp_key})
    return deleted


def check_usable(experiment: Experiment) -> None:
    """Refuse what could be stored and then not be read, or whose trials would all be refused.

    Raises:
        SearchError, ConfigError: as `begin`.
    """
    objective = objectives.find(experiment.objective)
    objective.check_settings(experiment.settings)
    for bound in ('low', 'high'):
        values = experiment.space.values(
            {each.name: getattr(each, bound) for each in experiment.space.dimensions})
        objective.check_values(values, experiment.settings)
    Experiment.from_document(experiment.document())


def _check_same(there, wanted):
    if there.objective != wanted.objective:
        raise _differs(there, 'objective', there.objective, wanted.objective)
    for key in sorted({*there.settings, *wanted.settings}):
        held, asked = there.settings.get(key), wanted.settings.get(key)
        if held != asked:
            raise _differs(there, key, held, asked)
    held = {each.name: each for each in there.space.dimensions}
    asked = {each.name: each for each in wanted.space.dimensions}
    for name in [*held, *(name for name in asked if name not in held)]:
        if held.get(name) != asked.get(name):
            raise _differs(there, 'the range of ' + name, held.get(name), asked.get(name))


def _differs(experiment, what, held, asked):
    return SearchError('experiment {} was begun with {} {}, not {}: choose another --exp-key, or '
                       'delete it first'.format(experiment.exp_key, what, held, asked))
