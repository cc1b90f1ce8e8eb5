"""Promoting copies finished runs, only what may be committed, and never over another result."""
import pytest

from chainer_kfac.analysis import promotion
from chainer_kfac.exceptions import RunDirectoryError

PLACE = 'table1/short/cifar10/adam-bs128/seed0'


@pytest.fixture
def promote(tmp_path):
    def call(*directories):
        return promotion.promote(directories, tmp_path / 'runs', tmp_path / 'results')
    return call


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob('*') if path.is_file())


def test_copies_what_may_be_committed_and_writes_the_table(write_run, promote, tmp_path):
    directory = write_run('adam', 128)
    for name in ('snapshot_iter_10', 'console.txt', '.lock', 'accuracy.png'):
        (directory / name).write_text(name)
    copy = tmp_path / 'results' / PLACE
    assert promote(directory) == [copy]
    assert files(copy) == ['accuracy.png', 'config.yaml', 'log', 'result.json']
    assert (copy / 'result.json').read_bytes() == (directory / 'result.json').read_bytes()
    table = (tmp_path / 'results/table1/short/cifar10/table1.md').read_text()
    assert '0.7500' in table


def test_twice_is_harmless(write_run, promote, tmp_path):
    directory = write_run('adam', 128)
    promote(directory)
    before = files(tmp_path / 'results')
    assert promote(directory) == []
    assert files(tmp_path / 'results') == before


def test_a_different_result_is_refused_and_nothing_is_copied(write_run, promote, tmp_path):
    directory = write_run('adam', 128)
    promote(directory)
    (directory / 'result.json').write_text('{"format": 1, "best_val_acc": 1.0}')
    other = write_run('adam', 512)
    with pytest.raises(RunDirectoryError, match='different run'):
        promote(other, directory)
    assert not (tmp_path / 'results/table1/short/cifar10/adam-bs512').exists()
    assert '0.75' in (tmp_path / 'results' / PLACE / 'result.json').read_text()


def test_unfinished_runs_are_refused(write_run, promote, tmp_path):
    finished = write_run('adam', 128)
    unfinished = write_run('adam', 512, finished=False)
    with pytest.raises(RunDirectoryError, match='adam-bs512.*unfinished'):
        promote(finished, unfinished)
    assert not (tmp_path / 'results').exists()


def test_no_run_directory_and_another_root_are_refused(write_run, promote, tmp_path):
    with pytest.raises(RunDirectoryError, match='not a run directory'):
        promote(tmp_path / 'runs/nothing')
    elsewhere = write_run('adam', 128, root='elsewhere')
    with pytest.raises(RunDirectoryError, match='--root'):
        promote(elsewhere)
