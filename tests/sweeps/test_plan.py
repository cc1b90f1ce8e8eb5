"""Which runs a sweep has, and in which order."""
import pytest

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.sweeps import plan


@pytest.fixture
def smoke():
    return plan.all_profiles()['smoke']


def test_every_cell_comes_before_the_second_seed(smoke):
    runs = plan.runs(plan.load('table1'), smoke, 'digits', seeds=2)
    assert len(runs) == 18
    assert [run.seed for run in runs] == [0] * 9 + [1] * 9
    assert len({(run.optimizer, run.batch_size) for run in runs[:9]}) == 9
    assert {run.dataset for run in runs} == {'digits'}


def test_overrides_win_and_are_checked(smoke):
    chosen = plan.select(plan.load('table1'), ['kfac'], [512])
    run, = plan.runs(chosen, smoke, 'digits', overrides=['epochs=7', 'ema_weighs=old'])
    assert (run.epochs, run.ema_weighs, run.damping) == (7, 'old', 3.76662e-3)
    with pytest.raises(ConfigError, match='damping'):
        plan.runs(chosen, smoke, 'digits', overrides=['damping=-1'])


@pytest.mark.parametrize(('override', 'flag'), [
    ('batch_size=7', '--batch'), ('optimizer=adam', '--optimizer'), ('seed=3', '--seeds'),
    ('dataset=digits', '--dataset'), ('profile=mine', '--profile')])
def test_what_a_flag_decides_is_refused_as_an_override(smoke, override, flag):
    with pytest.raises(ConfigError, match=flag):
        plan.runs(plan.load('table1'), smoke, 'digits', overrides=[override])


def test_select():
    cells = plan.load('table1')
    assert plan.select(cells) == cells
    assert [(cell.optimizer, cell.batch_size) for cell in plan.select(cells, ['kfac', 'adam'],
                                                                      [2048])] == [
        ('adam', 2048), ('kfac', 2048)]
    with pytest.raises(ConfigError, match='sgd.*momentum_sgd, adam, kfac'):
        plan.select(cells, ['sgd'])
    with pytest.raises(ConfigError, match='256.*128, 512, 2048'):
        plan.select(cells, [], [256])


def test_no_seed_is_refused(smoke):
    with pytest.raises(ConfigError, match='at least 1'):
        plan.runs(plan.load('table1'), smoke, 'digits', seeds=0)


def test_other_cells_lie_beside_the_papers(tmp_path, smoke):
    path = tmp_path / 'tuned.yaml'
    path.write_text('format: 1\ncells:\n- {optimizer: adam, batch_size: 64, lr: 0.1}\n'
                    '- {optimizer: adam, batch_size: 32, lr: 0.1, variant: mine}\n')
    runs = plan.runs(plan.load(str(path)), smoke, 'digits')
    assert [(run.experiment, run.variant) for run in runs] == [
        ('table1', 'tuned'), ('table1', 'mine')]


def test_unknown_file_of_cells_is_refused_by_name():
    with pytest.raises(ConfigError, match='tunde.*table1.yaml'):
        plan.load('tunde')
