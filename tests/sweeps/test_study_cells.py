"""The cells of the batch-size study: those of Table 1, and between them the stated rule."""
import math

import pytest

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.sweeps import plan, study
from chainer_kfac.sweeps.cells import Cell
from chainer_kfac.training import run_directory

RULE = study.Rule(value=('lr', 'weight_decay', 'lr_decay_epoch'), rest_to_one=('momentum',))


def cell(batch_size, optimizer='momentum_sgd', **settings):
    return Cell({'optimizer': optimizer, 'batch_size': batch_size, 'lr': 0.1, **settings})


@pytest.fixture
def write_cells(tmp_path):
    def write(*lines, name='tuned'):
        path = tmp_path / '{}.yaml'.format(name)
        path.write_text('format: 1\ncells:\n' + ''.join('- {%s}\n' % line for line in lines))
        return str(path)
    return write


def find(cells, optimizer, batch_size):
    return next(cell for cell in cells
                if (cell.optimizer, cell.batch_size) == (optimizer, batch_size))


def test_cells_of_the_paper_are_runs_of_table_1_and_the_others_of_the_study():
    cells = study.load()
    assert [(each.optimizer, each.batch_size) for each in cells] == [
        (optimizer, batch_size) for optimizer in ('momentum_sgd', 'adam', 'kfac')
        for batch_size in (128, 256, 512, 1024, 2048)]
    configs = plan.runs(cells, plan.all_profiles()['short'], 'cifar10')
    table1 = plan.runs(plan.load('table1'), plan.all_profiles()['short'], 'cifar10')
    paths = [run_directory.path(config).as_posix() for config in configs]
    assert {config.digest for config in table1} < {config.digest for config in configs}
    assert [path for path in paths if path.startswith('runs/table1/')] == [
        run_directory.path(config).as_posix() for config in table1]
    assert paths[1] == 'runs/study/short/cifar10/momentum_sgd-bs256/seed0'
    assert sum(path.startswith('runs/study/') for path in paths) == 6


def test_halfway_is_the_geometric_mean():
    cells = study.load()
    found = find(cells, 'kfac', 1024).settings
    low, high = (find(cells, 'kfac', size).settings for size in (512, 2048))
    for field in ('lr', 'lr_decay', 'weight_decay', 'cov_ema_decay', 'damping'):
        assert found[field] == pytest.approx(math.sqrt(low[field] * high[field]), rel=1e-5)
    assert 1 - found['momentum'] == pytest.approx(
        math.sqrt((1 - low['momentum']) * (1 - high['momentum'])), rel=1e-5)
    assert found['lr_decay_epoch'] == 35  # sqrt(60 * 20) = 34.6
    assert find(cells, 'kfac', 1024).between == (512, 2048)
    assert find(cells, 'kfac', 512).between is None


def test_a_third_of_the_way_over_the_logarithm():
    found = RULE.between(cell(128, lr=1.0), cell(1024, lr=8.0), 256)
    assert found.settings['lr'] == 2.0


def test_equal_values_stay_and_zero_is_interpolated_without_the_logarithm():
    low = cell(128, weight_decay=0, lr=0.3, momentum=0.0)
    found = RULE.between(low, cell(512, weight_decay=0, lr=0.3, momentum=0.0), 256).settings
    assert (found['weight_decay'], found['lr'], found['momentum']) == (0, 0.3, 0.0)
    found = RULE.between(low, cell(512, weight_decay=0.004), 256).settings
    assert found['weight_decay'] == 0.002


def test_other_fields_must_agree():
    low, high = cell(128, optimizer='kfac', ema_weighs='new'), cell(512, optimizer='kfac')
    assert RULE.between(low, high, 256).settings['ema_weighs'] == 'new'  # the default is a value
    high.settings['ema_weighs'] = 'old'
    with pytest.raises(ConfigError, match="kfac 256.*ema_weighs is 'new'.*'old'"):
        RULE.between(low, high, 256)
    with pytest.raises(ConfigError, match='lr_decay_epoch is None'):
        RULE.between(cell(128), cell(512, lr_decay_epoch=9), 256)


def test_other_cells_go_before_the_papers_and_mark_what_lies_beside_them(write_cells):
    cells = study.load(write_cells(
        'optimizer: kfac, batch_size: 2048, lr: 0.05, lr_decay: 0.5, lr_decay_epoch: 20, '
        'weight_decay: 5.0e-5, momentum: 0.9, cov_ema_decay: 0.99, damping: 0.001'))
    assert [(each.optimizer, each.batch_size, each.settings['experiment'], each.between)
            for each in cells if each.variant == 'tuned'] == [
        ('kfac', 1024, 'study', (512, 2048)), ('kfac', 2048, 'table1', None)]
    assert find(cells, 'kfac', 256) == find(study.load(), 'kfac', 256)
    assert find(cells, 'kfac', 1024).settings['lr'] == pytest.approx(math.sqrt(9.4295e-3 * 0.05),
                                                                     rel=1e-5)


def test_where_neighbours_cannot_be_joined_the_papers_own_are_taken(write_cells):
    cells = study.load(write_cells('optimizer: kfac, batch_size: 2048, lr: 0.05, lr_decay: 0.5, '
                                   'lr_decay_epoch: 20, ema_weighs: old'))
    assert find(cells, 'kfac', 2048).variant == 'tuned'
    assert find(cells, 'kfac', 1024) == find(study.load(), 'kfac', 1024)


def test_a_cell_of_their_own_is_not_interpolated(write_cells):
    cells = study.load(write_cells('optimizer: adam, batch_size: 256, lr: 0.5'))
    assert find(cells, 'adam', 256).settings['lr'] == 0.5
    assert find(cells, 'adam', 256).between is None


def test_two_cells_for_one_place_are_refused(write_cells):
    path = write_cells('optimizer: adam, batch_size: 256, lr: 0.5',
                       'optimizer: adam, batch_size: 256, lr: 0.5, variant: b')
    with pytest.raises(ConfigError, match='tuned.yaml holds two cells for adam 256'):
        study.load(path)


def test_nothing_is_extrapolated(write_cells, monkeypatch):
    monkeypatch.setattr(study, '_read', lambda: ([64, 128], RULE))
    with pytest.raises(ConfigError, match='momentum_sgd 64 .*128, 512, 2048'):
        study.load()


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(study.resources, 'find', lambda name: tmp_path / 'study.yaml')
    for content, says in (
            ('batch_sizes: [128]\ninterpolate: [lr]', 'two lists of fields, value and rest_to_one'),
            ('batch_sizes: 128\ninterpolate: {value: [], rest_to_one: []}', 'a list of numbers'),
            ('batch_size: [128]', 'must hold batch_sizes, format, interpolate')):
        (tmp_path / 'study.yaml').write_text('format: 1\n{}\n'.format(content))
        with pytest.raises(ConfigError, match=says):
            study.load()
