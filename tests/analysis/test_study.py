"""The study's table and curves say what the run directories of both experiments hold."""
import csv
import json
import pathlib
import shutil

import pytest

from chainer_kfac.analysis import captions, figures, study, study_text

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def collect(tmp_path):
    return lambda hparams='table1': study.collect(tmp_path / 'runs', 'short', 'cifar10', hparams)


@pytest.fixture
def tuned(tmp_path):
    path = tmp_path / 'tuned.yaml'
    path.write_text('format: 1\ncells:\n- {optimizer: adam, batch_size: 2048, lr: 0.01, '
                    'lr_decay: 0.5, lr_decay_epoch: 100}\n')
    return str(path)


def only(found, optimizer, batch_size):
    series, = found.of(optimizer, batch_size)
    return series


def test_runs_of_table_1_and_of_the_study_together(write_run, collect, tmp_path):
    write_run('kfac', 512)
    directory = write_run('kfac', 1024, [0.25, 0.5])
    assert directory.relative_to(tmp_path).as_posix() == (
        'runs/study/short/cifar10/kfac-bs1024/seed0')
    found = collect()
    assert (found.optimizers, found.batch_sizes) == (
        ['momentum_sgd', 'adam', 'kfac'], [128, 256, 512, 1024, 2048])
    assert only(found, 'kfac', 512).row['best']['mean'] == 0.75
    row = only(found, 'kfac', 1024).row
    assert (row['best']['mean'], row['between'], row['paper']) == (0.5, [512, 2048], None)
    assert only(found, 'kfac', 512).row['between'] is None
    assert len(found.table['missing']) == 13
    assert 'K-FAC 1024' not in found.table['missing']


def test_what_the_row_adds(write_run, collect):
    for seed, last in enumerate([0.5, 0.75]):
        write_run('adam', 2048, [0.875, last], seed=seed)
    row = only(collect(), 'adam', 2048).row
    assert row['train']['values'] == [0.5, 0.5]
    assert row['gap']['values'] == [0.0, -0.25]
    assert row['iterations'] == 48
    assert (row['wall_time']['mean'], row['median_epoch']['mean']) == (20, 10)


def test_seeds_that_are_not_finished_are_not_counted(write_run, collect):
    write_run('adam', 2048, [0.5])
    write_run('adam', 2048, [0.75], finished=False, seed=1)
    row = only(collect(), 'adam', 2048).row
    assert (row['train']['values'], row['gap']['values'], row['seeds']) == ([0.25], [-0.25], [0])


def test_curves_as_numbers(write_run, tmp_path):
    write_run('kfac', 128, [0.5, 0.75], seed=1)
    write_run('kfac', 256, [0.25], finished=False)
    study.write(tmp_path / 'runs', 'short', 'cifar10')
    with open(tmp_path / 'runs/study/short/cifar10/study.csv', encoding='utf-8') as stream:
        lines = list(csv.DictReader(stream))
    assert [(line['experiment'], line['batch_size'], line['seed'], line['state'], line['epoch'],
             line['iteration'], line['elapsed_time'], line['train_acc'], line['val_acc'])
            for line in lines] == [
        ('table1', '128', '1', 'finished', '1', '390', '10.0', '0.25', '0.5'),
        ('table1', '128', '1', 'finished', '2', '781', '20.0', '0.5', '0.75'),
        ('study', '256', '0', 'unfinished', '1', '195', '10.0', '0.25', '0.25')]


def test_the_page_states_the_rule_and_what_is_missing(write_run, collect):
    write_run('momentum_sgd', 256)
    text = study_text.to_markdown(collect().table)
    assert text.startswith('# Batch-size study: profile short, CIFAR-10 (sha256 12345678), not the')
    assert 'straight line over log2(batch size)' in text
    assert '| between 128 and 512 ' in text
    assert 'Missing: Momentum SGD 128, Momentum SGD 512' in text
    assert 'lr decay epoch 6,' in text  # 65 of the paper's epochs, a tenth of them
    assert '| profile paper: weight decay 0.000783378, ' in text    # 1024 has no run
    assert text.count('profile paper: ') == text.count('missing: no run') == 14


def test_the_same_runs_give_the_same_bytes(write_run, tmp_path):
    write_run('momentum_sgd', 256)
    _, paths = study.write(tmp_path / 'runs', 'short', 'cifar10')
    before = {path: path.read_bytes() for path in paths}
    assert sorted(path.name for path in paths) == ['study.csv', 'study.json', 'study.md']
    study.write(tmp_path / 'runs', 'short', 'cifar10')
    assert {path: path.read_bytes() for path in paths} == before


def test_tuned_cells_go_before_the_papers(write_run, tmp_path, tuned):
    write_run('adam', 2048, [0.5])
    write_run('adam', 2048, [0.75], variant='tuned')
    write_run('adam', 512, [0.25])
    found, paths = study.write(tmp_path / 'runs', 'short', 'cifar10', tuned)
    assert paths[1].name == 'study-tuned.json'
    assert json.loads(paths[1].read_text())['hparams'] == 'tuned'
    assert only(found, 'adam', 2048).row['best']['mean'] == 0.75
    assert only(found, 'adam', 512).row['best']['mean'] == 0.25
    beside = {series.cell.batch_size: series.row['paper'] for series in found.of('adam')}
    assert beside == {128: 0.818829, 256: None, 512: 0.819347, 1024: None, 2048: 0.795179}
    assert 'Adam 128, 256; Adam 1024 (tuned);' in captions.missing(found.series)[0]
    assert 'of Table 1 (tuned: Adam 2048); at batch 256 and 1024 between those' in ' '.join(
        captions.notes(found, found.series, 'Bands', 'open mark'))


def test_missing_cells_are_named_by_optimizer(write_run, collect):
    for batch_size in (128, 256, 512, 1024, 2048):
        write_run('adam', batch_size)
    write_run('kfac', 512)
    assert captions.missing(collect().series) == [
        'Missing: Momentum SGD 128, 256, 512, 1024, 2048; K-FAC 128, 256, 1024, 2048.']


def test_runs_that_are_not_finished_are_named(write_run, collect):
    write_run('adam', 128, [0.5], finished=False, seed=2)
    write_run('adam', 512)
    write_run('adam', 512, seed=1, dropout=0.25)
    assert captions.amiss(collect().series, 'open mark') == [
        'Not finished (open mark): Adam 128 seed 2 unfinished: 1 of 20 epochs.',
        'Not averaged, because the seeds were not trained alike: Adam 512.']


def test_a_legend_says_what_became_of_the_runs(write_run, collect):
    write_run('adam', 128)
    write_run('adam', 512)
    write_run('adam', 512, finished=False, seed=1)
    write_run('adam', 2048, finished=False)
    found = collect()
    assert [captions.label(only(found, 'adam', size)) for size in (128, 256, 512, 2048)] == [
        'Adam', 'Adam: no run yet', 'Adam: 1 of 2 seeds unfinished', 'Adam: unfinished']


def test_the_line_below_the_title(write_run, collect):
    assert captions.subtitle(collect(), []).endswith('no run yet')
    write_run('adam', 128)
    write_run('adam', 2048)
    write_run('adam', 2048, seed=1)
    found = collect()
    assert captions.subtitle(found, found.of(batch_size=2048)) == (
        'CIFAR-10 (sha256 12345678), profile short (20 epochs), seeds 0, 1')
    assert captions.subtitle(found, found.series).endswith(', 1 to 2 seeds')


@pytest.mark.parametrize('committed', sorted(ROOT.glob('results/study/*/*')),
                         ids=lambda path: '-'.join(path.parts[-2:]))
def test_the_committed_tables_are_those_of_the_committed_runs(committed, tmp_path):
    place = committed.parts[-2:]
    for experiment in study.EXPERIMENTS:
        if ROOT.joinpath('results', experiment, *place).exists():
            shutil.copytree(ROOT.joinpath('results', experiment, *place),
                            tmp_path.joinpath(experiment, *place))
    again = {path.name: path.read_text() for hparams in figures.hparams(tmp_path, *place)
             for path in study.write(tmp_path, *place, hparams)[1]}
    assert again == {path.name: path.read_text() for path in committed.glob('study*')}
