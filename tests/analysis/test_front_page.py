"""The README's table is written from the results and from nothing else."""
import shutil

import pytest

from chainer_kfac.analysis import front_page


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / 'README.md'
    path.write_text('before\n\n{}\nold\n{}\n\nafter\n'.format(front_page.BEGIN, front_page.END))
    return path


def test_without_results_it_says_so(readme, tmp_path):
    assert front_page.update(tmp_path / 'results')
    text = readme.read_text()
    assert text.startswith('before\n\n' + front_page.BEGIN)
    assert text.endswith(front_page.END + '\n\nafter\n')
    assert 'No run has been promoted yet' in text
    assert 'old' not in text
    assert not front_page.update(tmp_path / 'results')  # nothing has changed since


def test_the_table_names_protocol_and_missing_cells(write_run, readme, tmp_path):
    write_run('kfac', 512, [0.5, 0.75], root='results')
    assert front_page.update(tmp_path / 'results')
    text = readme.read_text()
    assert 'profile short' in text
    assert 'Not the protocol of the paper: epochs 20 instead of 200' in text
    assert '|   512 | 0.7132 |           0.7500 |    +0.0368 |     1 |' in text
    assert 'missing: no run' in text
    assert '(results/table1/short/cifar10/table1.md)' in text


def test_the_papers_profile_goes_before_the_short_one(write_run, tmp_path):
    write_run('kfac', 512, [0.25], root='results')
    write_run('kfac', 512, [0.75], root='results', profile='paper')
    section = front_page.section(tmp_path / 'results')
    assert 'profile paper' in section
    assert '0.2500' not in section


def test_stand_in_data_never_reaches_the_front_page(write_run, tmp_path):
    write_run('kfac', 512, root='results', dataset='digits')
    assert 'No run has been promoted yet' in front_page.section(tmp_path / 'results')


def test_a_readme_without_the_marks_is_left_alone(readme, tmp_path):
    readme.write_text('mine\n')
    assert not front_page.update(tmp_path / 'results')
    assert readme.read_text() == 'mine\n'
    shutil.rmtree(tmp_path)
    assert not front_page.update(tmp_path / 'results')
