"""What a worker believes of what stands in the database: only what it could have written."""
import copy

import hyperopt.base
import pytest

import chainer_kfac
from chainer_kfac.search import documents, space
from chainer_kfac.search.errors import RefusedTrial, SearchError

SPACE = space.Space((space.Dimension('lr', 'loguniform', 1e-4, 1.0),
                     space.Dimension('lr_decay_epoch', 'quniform', 10, 100, 10),
                     space.Dimension('momentum', 'uniform', 0.5, 0.99)))
SETTINGS = {'optimizer': 'kfac', 'batch_size': 128, 'epochs': 2, 'dataset': 'digits',
            'profile': 'smoke', 'lr_decay_epoch_scale': 1.0, 'seed': 0, 'select_on': 'test'}
SEARCH = {'trials': 3, 'lease': 60.0, 'setbacks': 3, 'prune': 'both'}
RAW = {'lr': 0.01, 'lr_decay_epoch': 20.0, 'momentum': 0.9}


def experiment(**changes):
    return documents.Experiment(**{
        'exp_key': 'e', 'uid': 'abc', 'objective': 'train', 'settings': SETTINGS, 'space': SPACE,
        'search': SEARCH, **changes})


def test_states_are_those_of_hyperopt():
    assert (documents.NEW, documents.RUNNING, documents.DONE, documents.ERROR) == (
        hyperopt.base.JOB_STATE_NEW, hyperopt.base.JOB_STATE_RUNNING,
        hyperopt.base.JOB_STATE_DONE, hyperopt.base.JOB_STATE_ERROR)


def test_a_trial_is_one_of_hyperopt():
    trials = hyperopt.Trials(exp_key='e')
    trials.insert_trial_docs([experiment().new_trial(0, RAW, 'given')])
    trials.refresh()
    assert len(trials) == 1


def test_round_trip():
    before = experiment()
    after = documents.Experiment.from_document(before.document())
    assert after == before
    assert after.digest == before.digest
    trial = after.new_trial(3, RAW, 'given')
    assert after.values(trial) == {'lr': 0.01, 'lr_decay_epoch': 20, 'momentum': 0.9}
    assert type(after.values(trial)['lr_decay_epoch']) is int
    assert after.is_sound(trial)


def test_protocol_changes_with_everything_that_changes_a_loss():
    digests = [experiment().digest, experiment(objective='branin').digest,
               experiment(settings={**SETTINGS, 'epochs': 3}).digest,
               experiment(space=SPACE.without(['lr'])).digest, experiment(version='9').digest]
    assert len(set(digests)) == len(digests)
    assert experiment(search={**SEARCH, 'trials': 9}, uid='x').digest == digests[0]


def test_another_version_is_refused():
    experiment().check_version()
    with pytest.raises(SearchError, match='9.9') as caught:
        experiment(version='9.9').check_version()
    assert chainer_kfac.__version__ in str(caught.value)


def set_path(document, path, value):
    document = copy.deepcopy(document)
    *parents, last = path.split('/')
    inner = document
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return document


HOSTILE = [
    ('misc', None), ('misc', []), ('misc/vals', None), ('misc/vals', {}), ('misc/vals/lr', []),
    ('misc/vals/lr', 0.01), ('misc/vals/lr', [0.01, 0.02]), ('misc/vals/lr', ['0.01']),
    ('misc/vals/lr', [True]), ('misc/vals/lr', [float('nan')]), ('misc/vals/lr', [float('inf')]),
    ('misc/vals/lr', [1e300]), ('misc/vals/lr', [-0.01]), ('misc/vals/lr', [10**400]),
    ('misc/vals/lr', [{'$gt': 0}]), ('misc/vals/lr', [[0.01]]), ('misc/vals/lr', [None]),
    ('misc/vals/optimizer', ['adam']), ('misc/vals/device', [0]), ('misc/vals/../x', [1]),
    ('misc/cmd', ['domain_attachment', 'FMinIter_Domain']), ('misc/cmd', None),
    ('misc/cmd', ['registered', 'os.system', 'x']), ('misc/cmd', ['registered', 'train']),
    ('misc/cmd', 'registered')]


@pytest.mark.parametrize(('path', 'value'), HOSTILE)
def test_a_hostile_trial_is_refused(path, value):
    trial = experiment().new_trial(0, RAW, 'given')
    if path == 'misc/vals/../x':
        trial['misc']['vals']['../x'] = value
    else:
        trial = set_path(trial, path, value)
    with pytest.raises(RefusedTrial) as caught:
        experiment().values(trial)
    assert len(str(caught.value)) < 500
    assert not experiment().is_sound(trial)


def test_a_trial_of_another_protocol_is_refused():
    trial = experiment(settings={**SETTINGS, 'epochs': 99}).new_trial(0, RAW, 'given')
    with pytest.raises(RefusedTrial, match='protocol'):
        experiment().values(trial)


@pytest.mark.parametrize(('key', 'value'), [
    ('tid', 'x'), ('tid', -1), ('tid', None), ('state', 9), ('state', 'x'), ('result', 'x'),
    ('result', None), ('result', {'status': 'ok', 'loss': 'x'}), ('curve', 'x'), ('curve', [1]),
    ('result', {'status': 'ok'}), ('history', [1]), ('history', {}),
    ('result', {'status': 'ok', 'loss': float('nan')}), ('last', [1]), ('last', {'loss': 'x'}),
    ('result', {'status': 'new', 'epochs': '3'}), ('result', {'status': 'new', 'seconds': [1]}),
    ('book_time', 'today'), ('end_time', 7), ('history', [{'start': 'x'}])])
def test_an_unsound_trial_is_left_out(key, value):
    trial = {**experiment().new_trial(0, RAW, 'given'), key: value}
    assert not experiment().is_sound(trial)


BAD_SETTINGS = [
    ('dataset', '../../etc/passwd'), ('profile', '..'), ('profile', 'a/b'), ('model', '/x'),
    ('epochs', 10**9), ('epochs', -1), ('epochs', 'many'), ('epochs', 1.5), ('batch_size', 2**40),
    ('train_size', 10**12), ('device', 0), ('experiment', 'x'), ('variant', 'x'), ('root', '/'),
    ('lr_decay_epoch_scale', 0), ('lr_decay_epoch_scale', 'x'), ('$where', 'x'),
    ('optimizer', 'x' * 5000), ('seed', [0]), ('seed', {'a': 1}), ('dataset', b'x')]


@pytest.mark.parametrize(('key', 'value'), BAD_SETTINGS)
def test_hostile_settings_are_refused(key, value):
    document = experiment().document()
    document['settings'][key] = value

    def use():
        found = documents.Experiment.from_document(document)
        found.values(found.new_trial(0, RAW, 'given'))

    with pytest.raises(RefusedTrial):
        use()


@pytest.mark.parametrize(('key', 'value'), [
    ('_id', '../x'), ('_id', 'a/b'), ('_id', ''), ('_id', None), ('_id', 3), ('_id', 'x' * 200),
    ('_id', '.hidden'), ('format', 2), ('format', None), ('settings', None), ('settings', []),
    ('search', 'x'), ('space', None), ('space', []), ('space', [{}] * 100), ('objective', 'os'),
    ('objective', None), ('objective', ['train']), ('uid', '../x'), ('uid', None), ('data', 7),
    ('data', '../x'), ('version', None), ('search', {}), ('search', {**SEARCH, 'trials': 'x'}),
    ('search', {**SEARCH, 'lease': 0}), ('search', {**SEARCH, 'lease': None}),
    ('search', {**SEARCH, 'setbacks': -1}), ('search', {**SEARCH, 'prune': 'all'})])
def test_a_hostile_experiment_is_refused(key, value):
    with pytest.raises(RefusedTrial):
        documents.Experiment.from_document({**experiment().document(), key: value})
