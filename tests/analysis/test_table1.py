"""Table 1 says what the run directories hold: numbers, seeds, and everything that is amiss."""
import csv
import json
import os
import re

import pytest

from chainer_kfac.analysis import markdown, table1, table1_text
from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.sweeps import failure
from chainer_kfac.training.config import RunConfig


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'runs/table1/short/cifar10'


def find(table, optimizer, batch_size, variant=''):
    return next(row for row in table['rows'] if (
        row['optimizer'], row['batch_size'], row['variant']) == (optimizer, batch_size, variant))


def test_one_seed(write_run, folder):
    write_run('kfac', 512, [0.5, 0.75, 0.625])
    row = find(table1.build(folder), 'kfac', 512)
    assert row['status'] == 'finished'
    assert row['best'] == {'mean': 0.75, 'std': None, 'values': [0.75]}
    assert row['last'] == {'mean': 0.625, 'std': None, 'values': [0.625]}
    assert row['paper'] == 0.713202
    assert row['difference'] == 0.75 - 0.713202
    assert (row['epochs'], row['seconds_per_epoch'], row['seeds']) == (3, 10.0, [0])
    assert row['hyperparameters']['damping'] == 3.76662e-3
    assert 'beta1' not in row['hyperparameters']


def test_mean_and_deviation_over_seeds(write_run, folder):
    for seed, best in enumerate([0.5, 0.25, 0.75]):
        write_run('adam', 128, [best, 0.125], seed=seed)
    row = find(table1.build(folder), 'adam', 128)
    assert row['best'] == {'mean': 0.5, 'std': 0.25, 'values': [0.5, 0.25, 0.75]}  # n - 1
    assert row['last']['std'] == 0
    assert row['seeds'] == [0, 1, 2]
    assert '0.5000 ± 0.2500' in table1_text.to_markdown(table1.build(folder))


def test_all_nine_cells_have_a_row_and_missing_ones_are_named(write_run, folder):
    write_run('kfac', 512)
    table = table1.build(folder)
    assert len(table['rows']) == 9
    assert len(table['missing']) == 8
    assert 'Momentum SGD 2048' in table['missing']
    assert 'Missing: Momentum SGD 128, ' in table1_text.to_markdown(table)
    assert find(table, 'adam', 512)['note'] == 'missing: no run'


def test_unfinished_failed_and_diverged_runs_are_shown_as_such(write_run, folder):
    write_run('adam', 128, [0.9], finished=False)
    broken = write_run('adam', 512, [0.9], finished=False)
    failure.write(broken, RunConfig(optimizer='adam', lr=0.1, epochs=1), -9, 'ended by SIGKILL')
    diverged = write_run('adam', 2048, [0.9], finished=False)
    (diverged / 'diverged.json').write_text(json.dumps({'reason': 'loss is nan at iteration 7'}))
    table = table1.build(folder)
    for batch_size, status, note in (
            (128, 'unfinished', 'seed 0 unfinished: 1 of 20 epochs'),
            (512, 'failed', 'seed 0 failed: ended by SIGKILL'),
            (2048, 'diverged', 'seed 0 diverged: loss is nan at iteration 7')):
        row = find(table, 'adam', batch_size)
        assert (row['status'], row['note']) == (status, note)
        assert row['best'] is row['last'] is row['difference'] is None
        assert note in table1_text.summary(table)


def test_a_run_that_failed_before_its_configuration_was_written_is_shown(folder):
    directory = folder / 'kfac-bs128/seed0'
    directory.mkdir(parents=True)
    config = RunConfig(optimizer='kfac', lr=0.1, epochs=1, profile='short')
    failure.write(directory, config, 2, 'no space left')
    assert find(table1.build(folder), 'kfac', 128)['note'] == 'seed 0 failed: no space left'


def test_a_failure_is_forgotten_once_the_run_has_gone_on(write_run, folder):
    directory = write_run('adam', 512, [0.9], finished=False)
    failure.write(directory, RunConfig(optimizer='adam', lr=0.1, epochs=1), -9, 'ended by SIGKILL')
    later = (directory / failure.NAME).stat().st_mtime + 1
    os.utime(directory / 'log', (later, later))
    assert find(table1.build(folder), 'adam', 512)['status'] == 'unfinished'


def test_finished_seeds_count_beside_a_diverged_one(write_run, folder):
    write_run('adam', 128, [0.5])
    diverged = write_run('adam', 128, [0.25], finished=False, seed=1)
    (diverged / 'diverged.json').write_text(json.dumps({'reason': 'loss is nan'}))
    row = find(table1.build(folder), 'adam', 128)
    assert (row['status'], row['best']['values'], row['seeds']) == ('partial', [0.5], [0])
    assert row['note'] == 'seed 1 diverged: loss is nan'


def test_a_run_that_was_stopped_early_is_not_counted(write_run, folder):
    write_run('adam', 128, [0.5, 0.25], result={'stopped': 'hopeless'})
    row = find(table1.build(folder), 'adam', 128)
    assert (row['status'], row['best']) == ('stopped', None)
    assert row['note'] == 'seed 0 stopped after epoch 2: hopeless'


def test_seeds_that_were_not_trained_alike_are_not_averaged(write_run, folder):
    write_run('adam', 128, [0.5])
    write_run('adam', 128, [0.75], seed=1, lr=0.5)
    row = find(table1.build(folder), 'adam', 128)
    assert (row['status'], row['best']) == ('mixed', None)
    assert row['note'] == 'not averaged: seeds differ in lr'


def test_seeds_on_different_pixels_are_not_averaged(write_run, folder):
    write_run('adam', 128, [0.5])
    write_run('adam', 128, [0.75], seed=1, result={
        'dataset': {'name': 'cifar10', 'label': 'CIFAR-10', 'digest': 'another'}})
    assert find(table1.build(folder), 'adam', 128)['note'] == 'not averaged: seeds differ in data'


def test_variants_have_rows_of_their_own_beside_the_papers_value(write_run, folder):
    write_run('kfac', 2048, [0.5])
    write_run('kfac', 2048, [0.75], variant='tuned', damping=0.5)
    table = table1.build(folder)
    assert len(table['rows']) == 10
    row = find(table, 'kfac', 2048, 'tuned')
    assert row['difference'] == 0.75 - 0.649841
    assert row['departures']['damping'] == [0.5, 0.001]
    assert row['note'] == "the paper's values but for damping 0.5 instead of 0.001"
    write_run('kfac', 128, [0.75], variant='tuned', damping=0.5)
    assert not find(table1.build(folder), 'kfac', 128, 'tuned')['note']   # nothing beside it
    assert '| K-FAC (tuned) |' in table1_text.to_markdown(table)


def test_held_out_images_choose_and_test_images_are_compared(write_run, folder):
    write_run('adam', 128, [0.75], select_on='holdout', result={'test_acc': 0.5})
    row = find(table1.build(folder), 'adam', 128)
    assert row['best']['mean'] == 0.5
    assert row['departures']['select_on'] == ['holdout', 'test']


def test_stand_in_data_is_labelled_and_not_compared(write_run, tmp_path):
    write_run('adam', 128, profile='smoke', dataset='digits')
    table = table1.build(tmp_path / 'runs/table1/smoke/digits')
    row = find(table, 'adam', 128)
    assert row['stand_in']
    assert row['difference'] is None
    for render in (table1_text.to_markdown, table1_text.summary, table1_text.to_latex):
        text = render(table)
        title = text.split('Accuracies')[0]
        assert 'not the data of the paper' in title
        assert 'Stand-in data' in title
        assert 'not comparable' in text
    line = next(line for line in table1_text.to_markdown(table).splitlines()
                if 'not comparable' in line)
    assert 'digits (stand-in)' in line
    assert "not the paper's" in line


def test_another_protocol_is_labelled_with_its_values(write_run, folder):
    write_run('adam', 128)
    write_run('adam', 512)
    table = table1.build(folder)
    assert table1_text.title(table).endswith('not the protocol of the paper')
    assert table1_text.warnings(table)[0] == (
        'Not the protocol of the paper: epochs 20 instead of 200, '
        'lr_decay_epoch changed in 2 rows.')
    write_run('kfac', 512, variant='ema-old', ema_weighs='old')
    assert table1_text.warnings(table1.build(folder))[0].endswith(
        'lr_decay_epoch changed in 3 rows, ema_weighs old instead of new in 1 row.')


def test_the_papers_protocol_is_not_labelled_otherwise(write_run, tmp_path):
    write_run('adam', 128, profile='paper', device=-1, fast=False)
    table = table1.build(tmp_path / 'runs/table1/paper/cifar10')
    assert find(table, 'adam', 128)['departures'] == {}
    assert "the paper's" in table1_text.to_markdown(table)
    assert 'not the' not in table1_text.title(table)


def test_the_same_runs_give_the_same_bytes_anywhere(write_run, tmp_path):
    for root in ('a', 'b'):
        write_run('adam', 128, root=root)
        table1.write(tmp_path / root / 'table1/short/cifar10')
    for suffix in ('.md', '.csv', '.tex', '.json'):
        a, b = ((tmp_path / root / 'table1/short/cifar10/table1').with_suffix(suffix).read_bytes()
                for root in ('a', 'b'))
        assert a == b


def test_json_and_csv_hold_the_same_numbers(write_run, folder):
    write_run('momentum_sgd', 2048, [0.5, 0.25])
    table = table1.write(folder)
    assert json.loads((folder / 'table1.json').read_text()) == table
    with open(folder / 'table1.csv', newline='') as file:
        line = next(line for line in csv.DictReader(file) if line['status'] == 'finished')
    assert (line['optimizer'], line['batch_size']) == ('momentum_sgd', '2048')
    assert float(line['best_val_acc']) == 0.5
    assert float(line['difference']) == 0.5 - 0.834328
    assert float(line['momentum']) == 0.945714
    assert line['beta1'] == ''


def test_markdown_table_is_well_formed(write_run, folder):
    write_run('adam', 128, variant='a_b')
    lines = [line for line in table1_text.to_markdown(table1.build(folder)).splitlines()
             if line.startswith('|')]
    assert len(lines) == 2 + 10
    widths = {len(re.split(r'(?<!\\)\|', line)) for line in lines}
    assert widths == {len(table1_text.COLUMNS) + 2}
    assert re.fullmatch(r'\|( -+:? \|)+', lines[1])
    assert 'Adam (a_b)' in lines[-1]


@pytest.mark.parametrize(('text', 'escaped'), [
    ('a|b', r'a\|b'), ('a\nb', 'a b'), ('*a* `b` <c> [d]', r'\*a\* \`b\` \<c\> \[d\]'),
    ('train_size', 'train_size'), ('_a_ b_', r'\_a\_ b\_'), ('back\\slash', r'back\\slash')])
def test_markdown_escapes_what_would_be_markup(text, escaped):
    assert markdown.escape(text) == escaped


def check_latex(text):
    """Balanced braces and environments, nothing unescaped, and as many cells as columns."""
    assert not re.search(r'(?<!\\)[#~^]', text)
    assert not re.search(r'(?<![\\])_', text)
    assert not re.search(r'(?<!\\)%', text)
    assert len(re.findall(r'(?<!\\)\$', text)) % 2 == 0
    assert text.isascii()
    bare = re.sub(r'\\[{}]', '', text)
    depth = 0
    for character in bare:
        depth += {'{': 1, '}': -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    stack = []
    for kind, name in re.findall(r'\\(begin|end)\{(.+?)\}', text):
        if kind == 'begin':
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    for types, body in re.findall(r'\\begin\{tabular\}\{(\S+)\}\n(.*?)\\end\{tabular\}', text,
                                  re.DOTALL):
        columns = len(re.sub(r'p\{.*?\}', 'p', types))
        lines = [line for line in body.splitlines() if line.strip() not in (r'\hline', '')]
        assert len(lines) > 9
        for line in lines:
            assert line.endswith(r' \\')
            assert len(re.findall(r'(?<!\\)&', line)) == columns - 1


def test_latex_is_valid(write_run, folder):
    hostile = write_run('adam', 512, finished=False)
    failure.write(hostile, RunConfig(optimizer='adam', lr=0.1, epochs=1), 1,
                  r'50% of $x_1^2$ & {y} #3 ~ \z <a|b>')
    for seed in range(2):
        write_run('adam', 128, seed=seed, variant='a_b')
    text = table1_text.to_latex(table1.build(folder))
    check_latex(text)
    assert r'0.7500 $\pm$ 0.0000' in text
    assert r'50\% of \$x\_1\textasciicircum{}2\$ \& \{y\} \#3' in text
    assert text.count(r'\begin{tabular}') == 2


def test_folders_are_found_by_profile_and_dataset(write_run, tmp_path):
    write_run('adam', 128)
    write_run('adam', 128, profile='smoke', dataset='digits')
    root = tmp_path / 'runs'
    assert [path.relative_to(root / 'table1').as_posix() for path in table1.folders(root)] == [
        'short/cifar10', 'smoke/digits']
    assert [path.name for path in table1.folders(root, 'smoke')] == ['digits']
    with pytest.raises(RunDirectoryError, match=r'no runs in .*paper/\*'):
        table1.folders(root, 'paper')


def test_a_damaged_file_is_named(write_run, folder):
    directory = write_run('adam', 128)
    (directory / 'result.json').write_text('{"best_val')
    with pytest.raises(RunDirectoryError, match=r'seed0/result\.json is damaged'):
        table1.build(folder)


@pytest.mark.parametrize(('name', 'content', 'says'), [
    ('config.yaml', '', 'no "optimizer"'), ('config.yaml', '[1]', 'no "optimizer"'),
    ('result.json', '{}', 'no "best_val_acc"'), ('log', '[]', 'no epochs'),
    ('log', '{"epoch": 1}', 'no epochs'), ('log', '[1, 2]', 'no epochs'),
    ('log', None, 'no epochs')])
def test_a_file_that_lacks_something_is_named(write_run, folder, name, content, says):
    path = write_run('adam', 128) / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    wanted = r'seed0/{} is damaged \(it .*{}'.format(name, says)
    with pytest.raises(RunDirectoryError, match=wanted):
        table1.build(folder)


def test_epochs_that_a_run_adds_for_its_updates_are_counted(write_run, folder):
    write_run('adam', 2048, [0.5] * 3, finished=False, epochs=2, min_updates=8, train_size=4096)
    note, = [row['note'] for row in table1.build(folder)['rows']
             if (row['optimizer'], row['batch_size']) == ('adam', 2048)]
    assert 'unfinished: 3 of 4 epochs' in note
