"""What a worker looks at before it evaluates a trial: the documents, and its own images."""
from collections.abc import Callable
from typing import Any

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search import objectives
from chainer_kfac.search.documents import Experiment, check_exp_key
from chainer_kfac.search.errors import RefusedTrial, SearchError
from chainer_kfac.search.lease import Claim
from chainer_kfac.search.store import Store


def experiment_of(store: Store, claim: Claim, insist: Callable) -> Experiment:
    """The experiment that a trial belongs to; ``insist`` runs a database operation until it works.

    Raises:
        RefusedTrial: if there is none, or its document is not sound.
        SearchError: if it is of another version than this worker.
    """
    check_exp_key(claim.exp_key)    # it may be a mapping, which a query would take for operators
    document = insist(lambda: store.experiments.find_one({'_id': claim.exp_key}))
    if document is None:
        raise RefusedTrial('trial {!r:.20} belongs to no experiment: {!r:.100}'.format(
            claim.tid, claim.exp_key))
    experiment = Experiment.from_document(document)
    experiment.check_version()
    return experiment


def values_of(store: Store, experiment: Experiment, claim: Claim, trial: dict[str, Any],
              insist: Callable) -> dict[str, Any]:
    """The hyperparameters of a trial that this worker may evaluate.

    Raises:
        RefusedTrial: if the trial's document is not sound or its objective refuses the settings.
        SearchError: if the images here are not those of the other workers.
    """
    values = experiment.values(trial)
    if not experiment.is_sound(trial):
        raise RefusedTrial('trial {} of {} has counters, history or curve of a strange shape'
                           .format(claim.tid, claim.exp_key))
    try:
        data = objectives.find(experiment.objective).data(experiment.settings)
    except ConfigError as error:
        raise RefusedTrial(str(error)) from None
    if data is not None:
        _check_data(store, experiment, data, insist)
    return values


def _check_data(store, experiment, data, insist):
    query = {'_id': experiment.exp_key, 'uid': experiment.uid}
    if experiment.data is None:
        insist(lambda: store.experiments.update_one(
            {**query, 'data': None}, {'$set': {'data': data}}))
        theirs = insist(lambda: store.experiments.find_one(query)) or {}
    else:
        theirs = {'data': experiment.data}
    if theirs.get('data') != data:
        raise SearchError(
            'the images of {} have digest {} here and {} at the other workers of {}: copy '
            'theirs'.format(experiment.settings.get('dataset'), data, theirs.get('data'),
                            experiment.exp_key))
