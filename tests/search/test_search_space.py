"""Spaces: what YAML and the database may say, and what is drawn."""
import math

import numpy as np
import pytest

from chainer_kfac import resources
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search import first, space
from chainer_kfac.search.suggest import Suggester
from chainer_kfac.sweeps import cells
from chainer_kfac.training import RunConfig

OPTIMIZERS = ('momentum_sgd', 'adam', 'kfac')


def shipped(optimizer):
    return space.load(resources.find('experiments/search/{}.yaml'.format(optimizer)))


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_every_row_of_table_1_lies_inside_the_space(optimizer):
    varied = shipped(optimizer)
    rows = [cell for cell in cells.load(resources.find('experiments/table1.yaml'))
            if cell.optimizer == optimizer]
    assert len(rows) == 3
    for row in rows:
        assert varied.complaint({name: row.settings[name] for name in varied.names}) is None
        fixed = {key: row.settings[key] for key in row.settings
                 if key not in (*varied.names, 'optimizer', 'batch_size', 'model', 'experiment')}
        assert fixed == dict(varied.fixed)  # nothing of Table 1 is left out


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_draws_are_inside_and_make_configurations(optimizer):
    varied = shipped(optimizer)
    draw = Suggester(varied, 'random')
    for tid in range(60):
        raw, origin = draw(tid, [])
        assert origin == 'random'
        assert varied.complaint(raw) is None
        RunConfig(optimizer=optimizer, epochs=1, **varied.values(raw), **varied.fixed)


def test_priors_are_what_their_names_say():
    varied = shipped('kfac')
    draw = Suggester(varied, 'random')
    points = [varied.values(draw(tid, [])[0]) for tid in range(400)]
    rates = np.log([point['lr'] for point in points])
    low, high = math.log(1e-4), math.log(0.3)
    np.testing.assert_allclose(rates.mean(), (low + high) / 2, atol=0.35)  # 3 standard errors
    np.testing.assert_allclose(rates.std(), (high - low) / math.sqrt(12), rtol=0.1)
    epochs = {point['lr_decay_epoch'] for point in points}
    assert epochs == set(range(10, 101, 10))
    assert all(type(value) is int for value in epochs)
    momenta = [point['momentum'] for point in points]
    np.testing.assert_allclose(np.mean(momenta), 0.745, atol=0.025)


@pytest.mark.parametrize(('batch', 'row'), [(128, 128), (200, 128), (300, 512), (1024, 512),
                                            (1100, 2048), (8192, 2048)])
def test_first_trial_is_the_nearest_row(batch, row):
    values, origin = first.of_paper('kfac', batch, shipped('kfac'))
    assert origin == 'paper-bs{}'.format(row)
    assert values['lr'] == {128: 0.001, 512: 9.42950e-3, 2048: 0.005}[row]


def test_no_first_trial_outside_the_space():
    narrow = space.Space((space.Dimension('lr', 'loguniform', 0.1, 1.0),))
    assert first.of_paper('kfac', 128, narrow) is None
    assert first.of_paper('other', 128, narrow) is None
    foreign = space.Space((space.Dimension('kl_clip', 'uniform', 0.1, 1.0),))
    assert first.of_paper('kfac', 128, foreign) is None


def test_document_round_trip():
    varied = shipped('kfac')
    assert space.Space.from_document(varied.document()).dimensions == varied.dimensions


def test_pinned_hyperparameters_leave_the_space():
    varied = shipped('adam').without({'lr', 'beta2'})
    assert varied.names == ['lr_decay', 'lr_decay_epoch', 'beta1']
    assert 'beta2' not in varied.fixed


@pytest.mark.parametrize('entry', [
    {'prior': 'normal', 'low': 0, 'high': 1}, {'prior': 'uniform', 'low': 1, 'high': 1},
    {'prior': 'uniform', 'low': 0}, {'prior': 'loguniform', 'low': 0, 'high': 1},
    {'prior': 'quniform', 'low': 0, 'high': 1}, {'prior': 'quniform', 'low': 0, 'high': 1, 'q': 0},
    {'prior': 'uniform', 'low': 0, 'high': 1, 'q': 1}, {'prior': 'uniform', 'low': True, 'high': 2},
    {'prior': 'uniform', 'low': 0, 'high': float('inf')},
    {'prior': 'uniform', 'low': 'a', 'high': 1},
    {'prior': 'uniform', 'low': float('nan'), 'high': 1},
    {'prior': ['uniform'], 'low': 0, 'high': 1},
    {'prior': 'uniform', 'low': 0, 'high': 1e300}, {'prior': 'uniform', 'low': {}, 'high': 1},
    {'prior': 'uniform', 'low': 0, 'high': 1, 'options': []}, [0, 1], None, 'lr'])
def test_a_bad_dimension_is_refused(entry):
    with pytest.raises(ConfigError):
        space.Space.from_document([{'name': 'lr', **entry} if isinstance(entry, dict) else entry])


@pytest.mark.parametrize('name', ['', 'LR', '../x', 'a' * 65, '$where', 'a.b', 3, None])
def test_a_bad_name_is_refused(name):
    with pytest.raises(ConfigError):
        space.Space.from_document([{'name': name, 'prior': 'uniform', 'low': 0, 'high': 1}])


@pytest.mark.parametrize(('text', 'said'), [
    ('parameters: {lr: {prior: uniform, low: 0, high: 1}}', 'format'),
    ('format: 1', 'parameters'), ('format: 1\nparameters: {}', 'parameters'),
    ('format: 1\nparameters: {lr: {prior: uniform, low: 0}}', 'lr'),
    ('format: 1\nparameters: {lr: {prior: uniform, low: 0, high: 1}}\nextra: 1', 'extra'),
    ('- 1', 'mapping'), ('{', 'YAML')])
def test_a_bad_file_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / 'space.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        space.load(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
