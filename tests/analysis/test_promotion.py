"""Promoting copies what is finished, only what may be committed, and never over another result."""
import datetime
import errno
import json

import pytest

from chainer_kfac.analysis import pages, promotion, searches
from chainer_kfac.analysis.files import write
from chainer_kfac.analysis.refresh import refresh
from chainer_kfac.exceptions import KFACError, RunDirectoryError

PLACE = 'table1/short/cifar10/adam-bs128/seed0'


@pytest.fixture
def promote(tmp_path):
    def call(*directories):
        return promotion.promote(directories, tmp_path / 'runs', tmp_path / 'results')
    return call


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob('*') if path.is_file())


def test_copies_what_may_be_committed(write_run, promote, tmp_path):
    directory = write_run('adam', 128)
    for name in ('snapshot_iter_10', 'console.txt', '.lock', 'accuracy.png', 'spectra.npz'):
        (directory / name).write_text(name)
    copy = tmp_path / 'results' / PLACE
    assert promote(directory) == [copy]
    assert files(copy) == ['accuracy.png', 'config.yaml', 'log', 'result.json', 'spectra.npz']
    assert (copy / 'result.json').read_bytes() == (directory / 'result.json').read_bytes()


def test_tables_figures_and_pages_follow(write_run, promote, tmp_path):
    promote(write_run('adam', 128))
    readme = tmp_path / 'README.md'
    readme.write_text('\n'.join(pages.marks('results')))
    assert refresh(tmp_path / 'results') == ['README.md']
    assert '0.7500' in (tmp_path / 'results/table1/short/cifar10/table1.md').read_text()
    assert (tmp_path / 'results/study/short/cifar10/study.md').exists()
    assert '(results/figures/short/cifar10/figure2.png)' in readme.read_text()
    assert refresh(tmp_path / 'results') == []


def test_without_results_there_is_nothing_to_make(tmp_path):
    assert refresh(tmp_path / 'results') == []
    assert not (tmp_path / 'results').exists()


def test_twice_is_harmless(write_run, promote, tmp_path):
    directory = write_run('adam', 128)
    promote(directory)
    before = files(tmp_path / 'results')
    assert promote(directory) == []
    assert files(tmp_path / 'results') == before


def test_a_different_result_is_refused_and_nothing_is_copied(write_run, promote, tmp_path):
    directory = write_run('adam', 128)
    promote(directory)
    result = json.loads((directory / 'result.json').read_text())
    (directory / 'result.json').write_text(json.dumps({**result, 'best_val_acc': 1.0}))
    other = write_run('adam', 512)
    with pytest.raises(RunDirectoryError, match='different result'):
        promote(other, directory)
    assert not (tmp_path / 'results/table1/short/cifar10/adam-bs512').exists()
    assert '0.75' in (tmp_path / 'results' / PLACE / 'result.json').read_text()


def test_a_disk_that_is_full_gets_no_half_of_a_result(write_run, promote, tmp_path, monkeypatch):
    directory = write_run('adam', 128)
    monkeypatch.setattr(promotion.pathlib.Path, 'write_bytes', full)
    with pytest.raises(RunDirectoryError, match='cannot copy a result in .*: the disk is full'):
        promote(directory)
    assert files(tmp_path / 'results') == []
    monkeypatch.undo()
    assert promote(directory) == [tmp_path / 'results' / PLACE]


def test_tables_on_a_full_disk_are_as_they_were(tmp_path, monkeypatch):
    write(tmp_path, {'table1.md': 'old', 'table1.csv': b'old'})
    monkeypatch.setattr(promotion.pathlib.Path, 'write_bytes', full)
    with pytest.raises(RunDirectoryError, match=r'cannot write table1\.md in .*: the disk is full'):
        write(tmp_path, {'table1.md': 'new'})
    assert files(tmp_path) == ['table1.csv', 'table1.md']
    assert (tmp_path / 'table1.md').read_text() == 'old'


def test_a_folder_in_the_place_of_a_table_is_named(tmp_path):
    (tmp_path / 'table1.md').mkdir()
    with pytest.raises(RunDirectoryError, match='a folder has the name of a file: rename it'):
        write(tmp_path, {'table1.md': 'new'})
    (tmp_path / 'study').write_text('')
    with pytest.raises(RunDirectoryError, match='part of the path is a file'):
        write(tmp_path / 'study/short', {'study.md': 'new'})


def full(path, content):
    with open(path, 'wb') as stream:
        stream.write(content[:2])
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_unfinished_runs_are_refused(write_run, promote, tmp_path):
    finished = write_run('adam', 128)
    unfinished = write_run('adam', 512, finished=False)
    with pytest.raises(RunDirectoryError, match='adam-bs512.*unfinished'):
        promote(finished, unfinished)
    assert not (tmp_path / 'results').exists()


def test_a_run_that_diverged_is_a_result_too(write_run, promote, tmp_path):
    directory = write_run('adam', 128, finished=False)
    (directory / 'diverged.json').write_text('{"reason": "main/loss is nan"}')
    promote(directory)
    assert files(tmp_path / 'results' / PLACE) == ['config.yaml', 'diverged.json', 'log']


def test_no_run_directory_and_another_root_are_refused(write_run, promote, tmp_path):
    with pytest.raises(RunDirectoryError, match='not a run directory'):
        promote(tmp_path / 'runs/nothing')
    elsewhere = write_run('adam', 128, root='elsewhere')
    with pytest.raises(RunDirectoryError, match='--root'):
        promote(elsewhere)


@pytest.fixture
def write_search(tmp_path):
    """``write_search(trials)`` exports a search, of which so many of its four trials have ended."""
    pytest.importorskip('pymongo')
    from chainer_kfac.search import export, options, space
    from chainer_kfac.search.documents import DONE, Experiment

    def write(ended=4, loss=0.5):
        experiment = Experiment('e', 'u', 'train', {
            'optimizer': 'kfac', 'batch_size': 512, 'epochs': 5, 'select_on': 'holdout',
            'dataset': 'digits'},
            space.Space((space.Dimension('lr', 'loguniform', 1e-4, 1.0),)),
            options.search(trials=4, gamma=0.25, prune='both'))
        trials = [experiment.new_trial(tid, {'lr': 0.01 * (tid + 1)}, 'tpe') for tid in range(4)]
        start = datetime.datetime(2026, 1, 1)
        for tid, trial in enumerate(trials[:ended]):
            trial.update(state=DONE, attempt=1, owner='secret-host:{}:x'.format(tid % 2),
                         book_time=start, end_time=start + datetime.timedelta(seconds=9),
                         history=[{'attempt': 0, 'owner': 'secret-host:9:y', 'start': start,
                                   'end': start, 'reason': 'silent'}] if tid == 2 else [])
            trial['result'] = {'status': 'ok', 'loss': loss - 0.01 * tid, 'epochs': 5,
                               'seconds': 9.0, 'pruned': None,
                               'worker': trial['owner']}
        folder = tmp_path / 'runs/search/e'
        export.write(folder, experiment, trials)
        (folder / 'trials').mkdir(exist_ok=True)
        return folder
    return write


def test_a_search_is_copied_without_the_names_of_machines(write_search, promote, tmp_path):
    copy = tmp_path / 'results/search/e'
    assert promote(write_search()) == [copy]
    assert files(copy) == ['experiment.json', 'report.html', 'trials.csv', 'trials.jsonl']
    assert not any('secret-host' in path.read_text() for path in copy.iterdir())
    trials = [json.loads(line) for line in (copy / 'trials.jsonl').read_text().splitlines()]
    assert [trial['owner'] for trial in trials] == [
        'worker-1', 'worker-2', 'worker-1', 'worker-2']
    assert trials[2]['history'][0]['owner'] == 'worker-3'
    search, = searches.find(tmp_path / 'results')
    assert search.best['values'] == {'lr': 0.04}
    assert search.epochs == 20
    assert promote(write_search()) == []


def test_a_copy_of_a_search_can_be_promoted_again(write_search, promote, tmp_path):
    promote(write_search())
    copy = tmp_path / 'results/search/e'
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert promotion.promote([copy], tmp_path / 'results', tmp_path / 'again') != []
    again = {path.name: path.read_bytes() for path in (tmp_path / 'again/search/e').iterdir()}
    assert again == before


def test_searches_that_cannot_be_promoted(write_search, promote, tmp_path):
    with pytest.raises(RunDirectoryError, match='holds 3 of 4 trials that have ended'):
        promote(write_search(3))
    promote(write_search())
    with pytest.raises(RunDirectoryError, match='different result'):
        promote(write_search(loss=0.6))
    (tmp_path / 'runs/search/other').mkdir()
    with pytest.raises(KFACError, match='no export.*search export'):
        promote(tmp_path / 'runs/search/other')
