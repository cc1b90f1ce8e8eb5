"""The parts of the pages are written from the results and from nothing else."""
import shutil

import pytest

from chainer_kfac.analysis import front_page, pages

BEGIN, END = pages.marks('results')


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / 'README.md'
    path.write_text('before\n\n{}\nold\n{}\n\nafter\n'.format(BEGIN, END))
    return path


def test_without_results_it_says_so(readme, tmp_path):
    assert pages.update(tmp_path / 'results') == ['README.md']
    text = readme.read_text()
    assert text.startswith('before\n\n' + BEGIN)
    assert text.endswith(END + '\n\nafter\n')
    assert 'No run has been promoted yet' in text
    assert 'old' not in text
    assert not pages.update(tmp_path / 'results')  # nothing has changed since


def test_the_table_names_protocol_and_missing_cells(write_run, readme, tmp_path):
    write_run('kfac', 512, [0.5, 0.75], root='results')
    assert pages.update(tmp_path / 'results') == ['README.md']
    text = readme.read_text()
    assert 'profile short' in text
    assert 'Not the protocol of the paper: epochs 20 instead of 200' in text
    assert '|   512 | 0.7132 |           0.7500 |    +0.0368 |     1 |' in text
    assert 'missing: no run' in text
    assert '(results/table1/short/cifar10/table1.md)' in text


def test_the_profile_with_more_cells_stands_for_the_results(write_run, tmp_path):
    results = tmp_path / 'results'
    write_run('kfac', 512, [0.25], root='results')
    write_run('kfac', 512, [0.75], root='results', profile='paper')
    assert 'profile paper' in front_page.body(results)
    write_run('kfac', 128, [0.25], root='results')
    assert 'profile short' in front_page.body(results)


def test_stand_in_data_never_reaches_the_front_page(write_run, tmp_path):
    write_run('kfac', 512, root='results', dataset='digits')
    assert 'No run has been promoted yet' in front_page.body(tmp_path / 'results')


def test_a_page_without_the_marks_is_left_alone(readme, tmp_path):
    readme.write_text('mine\n')
    assert not pages.update(tmp_path / 'results')
    assert readme.read_text() == 'mine\n'
    shutil.rmtree(tmp_path)
    assert not pages.update(tmp_path / 'results')


def test_the_parts_of_a_page_are_written_one_by_one(write_run, tmp_path):
    write_run('kfac', 512, [0.5, 0.75], root='results')
    (tmp_path / 'docs').mkdir()
    page = tmp_path / 'docs/reproduction.md'
    page.write_text('\n'.join(
        '# {}\n{}\n{}'.format(name, *pages.marks(name)) for name in ('missing', 'evidence')))
    assert pages.update(tmp_path / 'results') == ['docs/reproduction.md']
    missing, evidence = page.read_text().split('# evidence')
    assert '- Adam 512: no finished run' in missing
    assert 'K-FAC 512: no' not in missing
    assert '0.7500' in evidence
