"""The notebooks run from top to bottom on the committed results, and show what is committed."""
import base64
import io
import pathlib

import matplotlib.image
import nbclient
import nbformat
import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / 'notebooks'
NAMES = ('table1', 'figure2', 'search', 'curvature')
LONGEST = 60


def executed(notebook, folder=FOLDER):
    copy = nbformat.from_dict(notebook)
    nbclient.NotebookClient(copy, timeout=LONGEST, kernel_name='python3', record_timing=False,
                            resources={'metadata': {'path': str(folder)}}).execute()
    return copy


def read(name):
    return nbformat.read(FOLDER / (name + '.ipynb'), as_version=4)


def texts(cell):
    """What a cell shows, but for pictures."""
    return [output.get('text') or {kind: data for kind, data in output.get('data', {}).items()
                                   if not kind.startswith('image/') and kind != 'text/plain'}
            for output in cell.outputs]


def pictures(cell):
    return [matplotlib.image.imread(io.BytesIO(base64.b64decode(output.data['image/png'])))
            for output in cell.outputs if 'image/png' in output.get('data', {})]


def assert_same(shown, committed):
    for cell, known in zip(shown.cells, committed.cells, strict=True):
        if cell.cell_type != 'code':
            continue
        assert texts(cell) == texts(known), 'the results have changed: make notebooks'
        for picture, other in zip(pictures(cell), pictures(known), strict=True):
            assert picture.shape == other.shape
            assert np.abs(picture - other).mean() < 0.01


def test_every_notebook_is_executed():
    assert sorted(path.stem for path in FOLDER.glob('*.ipynb')) == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_it_runs_and_shows_what_is_committed(name):
    committed = read(name)
    assert_same(executed(committed), committed)


@pytest.mark.parametrize('name', NAMES)
def test_what_is_committed_is_complete_and_small(name):
    notebook = read(name)
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(output.output_type == 'error' or output.get('name') == 'stderr'
                   for output in outputs)
    assert any('image/png' in output.get('data', {}) or 'text/markdown' in output.get('data', {})
               for output in outputs)
    assert notebook.cells[0].cell_type == 'markdown'
    source = '\n'.join(cell.source for cell in code)
    assert 'numpy' not in source  # the package computes; a notebook shows
    assert len(source.splitlines()) < 60
    assert (FOLDER / (name + '.ipynb')).stat().st_size < 2 ** 21


def test_a_difference_is_noticed():
    committed, other = read('table1'), read('table1')
    assert_same(other, committed)
    cell = next(cell for cell in other.cells if cell.cell_type == 'code')
    output = cell.outputs[0]
    output.data['text/markdown'] = output.data['text/markdown'].replace('1', '2', 1)
    with pytest.raises(AssertionError, match='make notebooks'):
        assert_same(other, committed)
