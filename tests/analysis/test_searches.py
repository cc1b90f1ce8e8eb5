"""Searches are read from their exports alone, and tables and figures say what is in them."""
import json

import pytest

from chainer_kfac.analysis import account, drawing, search_figures, searches
from chainer_kfac.datasets.cifar10 import LABELS
from chainer_kfac.exceptions import RunDirectoryError

JPEG, = [digest for digest, label in LABELS.items() if 'JPEG' in label]


def trial(tid, accuracy, epochs=10, pruned=None):
    return {'tid': tid, 'origin': 'tpe', 'values': {'lr': 0.01 * (tid + 1), 'damping': 1e-3},
            'result': {'status': 'ok', 'loss': 1 - accuracy, 'epochs': epochs, 'pruned': pruned}}


TRIALS = [trial(0, 0.5), trial(1, 0.25, 2, 'median'), trial(2, 0.75), trial(3, 0.75),
          {'tid': 4, 'values': {}, 'result': {'status': 'fail', 'reason': 'diverged'}}]


@pytest.fixture
def results(tmp_path):
    for name, size in (('kfac-bs2048', 2048), ('kfac-bs128', 128)):
        folder = tmp_path / 'results/search' / name
        folder.mkdir(parents=True)
        (folder / 'experiment.json').write_text(json.dumps({
            '_id': name, 'data': JPEG, 'search': {'trials': 5}, 'settings': {
                'optimizer': 'kfac', 'batch_size': size, 'dataset': 'cifar10', 'epochs': 10,
                'select_on': 'holdout'}}))
        (folder / 'trials.jsonl').write_text(''.join(json.dumps(each) + '\n' for each in TRIALS))
    return tmp_path / 'results'


def test_what_a_search_has_found(results):
    first, second = searches.find(results)
    assert (first.name, second.name) == ('kfac-bs128', 'kfac-bs2048')
    assert first.cell == 'K-FAC 128'
    assert first.label == 'CIFAR-10 (JPEG q75)'
    assert first.best['tid'] == 2  # the earlier one of equals
    assert (len(first.done), len(first.pruned), first.epochs) == (4, 1, 32)
    assert first.accuracies() == [0.5, 0.25, 0.75, 0.75]


def test_tables(results):
    text = account.PARTS['searches'](results)
    row, = [line for line in text.splitlines() if line.startswith('| kfac-bs2048')]
    assert [cell.strip() for cell in row.strip('|').split('|')] == [
        'kfac-bs2048', '5', '1', '1', '10', '32', 'CIFAR-10 (JPEG q75)', 'holdout', '0.7500',
        'lr 0.03, damping 0.001']
    assert '[kfac-bs128](../results/search/kfac-bs128/report.html)' in text
    best = searches.best_trials(searches.find(results)[0], 2).splitlines()
    assert [line.split('|')[1].strip() for line in best[2:]] == ['2', '3']
    assert 'a search for K-FAC 2048' not in account.PARTS['missing'](results)


def test_the_course_of_a_search(results):
    with drawing.style():
        page = search_figures.history(searches.find(results))
        panel = page.axes[1]
        whole, pruned, best = panel.lines
        assert list(whole.get_xdata()) == [0, 2, 3]
        assert list(pruned.get_ydata()) == [0.25]
        assert list(best.get_ydata()) == [0.5, 0.5, 0.75, 0.75]
        assert panel.get_title() == 'K-FAC 2048'
        assert drawing.render(page)['.png'] == drawing.render(page)['.png']


def test_a_damaged_export_is_named(results):
    (results / 'search/kfac-bs128/trials.jsonl').write_text('{')
    with pytest.raises(RunDirectoryError, match='kfac-bs128 is damaged.*search export'):
        searches.find(results)
