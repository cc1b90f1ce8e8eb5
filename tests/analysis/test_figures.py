"""The figures show the runs that are there, can be read, and come out the same each time."""
import itertools
import pathlib

import numpy as np
import pytest
from matplotlib import colors, image
from PIL import Image

from chainer_kfac.analysis import captions, drawing, figure2, figures, lines, study, study_figures

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.parent for path in ROOT.glob('results/figures/*/*/figure2.png'))


@pytest.fixture
def collect(tmp_path):
    return lambda hparams='table1': study.collect(tmp_path / 'runs', 'short', 'cifar10', hparams)


@pytest.fixture
def styled():
    with drawing.style():
        yield


@pytest.fixture
def many(write_run, collect):
    """Most of a study: three seeds at 2048, some cells missing, some runs unfinished."""
    rise = np.linspace(0.2, 0.7, 20).tolist()
    for optimizer, batch_size in itertools.product(('momentum_sgd', 'kfac'), (128, 256, 2048)):
        write_run(optimizer, batch_size, rise)
    for seed in (1, 2):
        write_run('momentum_sgd', 2048, [value - 0.05 * seed for value in rise], seed=seed)
    write_run('kfac', 512, rise[:7], finished=False)
    write_run('adam', 2048, rise, seed=0)
    write_run('adam', 2048, rise[:3], seed=1, finished=False)
    return collect()


def drawn(axis, colour, linestyle):
    """x and y of the lines of a colour and a linestyle."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines
            if line.get_color() == colour and line.get_linestyle() == linestyle
            and len(line.get_xdata()) > 1 and line.get_label().startswith('_child')]


@pytest.mark.usefixtures('styled')
def test_figure_2_draws_each_run_as_far_as_it_goes(many):
    page = figure2.figure(many)
    accuracy, gap = page.axes
    rise = np.linspace(0.2, 0.7, 20)
    blue, orange, black = (lines.of_optimizer(name)['color']
                           for name in ('momentum_sgd', 'adam', 'kfac'))
    (x, y), = drawn(accuracy, black, '-')
    assert x == [(i + 1) * 50000 // 2048 for i in range(20)]
    assert y == pytest.approx(rise)
    (_, mean), = drawn(accuracy, blue, '-')
    assert mean == pytest.approx(rise - 0.05)
    assert [len(x) for x, _ in drawn(accuracy, orange, '-')] == [20, 3]
    (_, train), = drawn(accuracy, black, '--')
    assert train == pytest.approx([0.25 * (i + 1) for i in range(20)])
    (_, difference), = drawn(gap, black, '-')
    assert difference == pytest.approx(np.array(train) - rise)

    band, = [each for each in accuracy.collections
             if np.allclose(each.get_facecolor()[0][:3], colors.to_rgb(blue))
             and np.isclose(each.get_paths()[0].vertices[:, 1].max(), 0.7)]
    assert band.get_paths()[0].vertices[:, 1].min() == pytest.approx(0.1)
    marks = [line for line in accuracy.lines if line.get_markersize() > 5]
    assert {(line.get_marker(), line.get_xdata()[0]) for line in marks} == {('>', 73)}
    assert {text.get_text() for legend in page.legends for text in legend.get_texts()} == {
        'Momentum SGD', 'Adam: 1 of 2 seeds unfinished', 'K-FAC', 'validation', 'train'}
    text = ' '.join(each.get_text() for each in page.texts)
    assert 'Three optimizers at batch size 2048' in text
    assert 'CIFAR-10 (sha256 12345678), profile short (20 epochs), 1 to 3 seeds' in text
    assert 'Adam 2048 seed 1 unfinished: 3 of 20 epochs' in text
    check_texts(page)


@pytest.mark.usefixtures('styled')
def test_the_study_has_each_axis_and_names_what_is_missing(many):
    page = study_figures.courses(many)
    axes = np.array(page.axes).reshape(3, 3)
    assert [axis.get_xlabel() for axis in axes[:, 0]] == ['iterations', 'epochs', 'minutes']
    assert [axis.get_title(loc='left') for axis in axes[0]] == ['Momentum SGD', 'Adam', 'K-FAC']
    colour = lines.of_batch_size(256, many.batch_sizes)['color']
    xs = [drawn(axis, colour, '-')[0][0] for axis in axes[:, 0]]
    assert [x[-1] for x in xs] == [20 * 50000 // 256, 20, pytest.approx(20 * 10 / 60)]
    text = ' '.join(each.get_text() for each in page.texts)
    assert ('Missing: Momentum SGD 512, 1024; Adam 128, 256, 512, 1024; K-FAC 1024.') in text
    assert 'at batch 256 and 1024 between those, on a straight line over log2(batch size)' in text
    check_texts(page)


@pytest.mark.usefixtures('styled')
def test_accuracy_against_batch_size(many):
    page = study_figures.ends(many)
    accuracy, gap = page.axes
    colour = lines.of_optimizer('momentum_sgd')['color']
    (x, best), (paper_x, paper) = drawn(accuracy, colour, '-') + drawn(accuracy, colour, ':')
    assert x == [128, 256, 512, 1024, 2048]     # a cell without runs breaks the line
    assert best == pytest.approx([0.7, 0.7, np.nan, np.nan, 0.65], nan_ok=True)
    assert (paper_x, paper) == ([128, 512, 2048], [0.853837, 0.849977, 0.834328])
    (x, gaps), = drawn(gap, colour, '-')
    assert np.isnan(gaps).tolist() == [False, False, True, True, False]
    check_texts(page)


@pytest.mark.usefixtures('styled')
@pytest.mark.parametrize('draw', [figure2.figure, study_figures.courses])
def test_texts_have_room_where_there_are_few_runs(write_run, collect, draw):
    write_run('momentum_sgd', 2048, np.linspace(0.2, 0.7, 19).tolist(), finished=False)
    check_texts(draw(collect()))


def check_texts(page):
    """No text overlaps another or leaves the page."""
    page.draw_without_rendering()
    texts = [*page.texts, *(text for legend in page.legends for text in legend.get_texts())]
    for axes in page.axes:
        texts += [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes._left_title]
        texts += [tick.label1 for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts
             if text.get_text() and text.get_visible()]
    assert len(boxes) > 20
    width, height = page.canvas.get_width_height()
    for text, box in boxes:
        assert 0 <= box.x0 < box.x1 <= width, text
        assert 0 <= box.y0 < box.y1 <= height, text
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        assert not box.padded(-0.5).overlaps(second.padded(-0.5)), (one, other)


def test_optimizers_and_batch_sizes_differ_without_colour():
    def grey(style):
        return float(np.dot(colors.to_rgb(style['color']), [0.299, 0.587, 0.114]))

    optimizers = [lines.of_optimizer(name) for name in ('momentum_sgd', 'adam', 'kfac')]
    sizes = [128, 256, 512, 1024, 2048]
    batches = [lines.of_batch_size(size, sizes) for size in sizes]
    for styles, least in ((optimizers, 0.25), (batches, 0.07)):
        assert len({style['marker'] for style in styles}) == len(styles)
        greys = sorted(map(grey, styles))
        assert min(b - a for a, b in itertools.pairwise(greys)) > least
        assert greys[-1] < 0.75  # still seen on white paper
    assert list(map(grey, batches)) == sorted(map(grey, batches))


def test_the_same_content_gives_the_same_bytes_whatever_the_users_style(many):
    import matplotlib

    def render():
        with drawing.style():
            return drawing.render(figure2.figure(many))

    first = render()
    with matplotlib.rc_context({'font.size': 30, 'svg.hashsalt': None, 'lines.linewidth': 9}):
        assert render() == first
    assert set(first) == {'.pdf', '.svg', '.png'}
    assert first['.pdf'].startswith(b'%PDF')
    assert first['.png'].startswith(b'\x89PNG')


@pytest.mark.parametrize('committed', COMMITTED, ids=lambda path: '-'.join(path.parts[-2:]))
def test_the_committed_figures_are_those_of_the_committed_runs(committed, tmp_path):
    (tmp_path / 'results').mkdir()
    for experiment in study.EXPERIMENTS:
        if (ROOT / 'results' / experiment).exists():
            (tmp_path / 'results' / experiment).symlink_to(ROOT / 'results' / experiment)
    place = committed.parts[-2:]
    again = [path for hparams in figures.hparams(tmp_path / 'results', *place)
             for path in figures.write(tmp_path / 'results', *place, hparams)[1]]
    assert sorted(path.name for path in again) == sorted(
        path.name for path in committed.iterdir())
    for path in again:
        compare(path, committed / path.name)


def compare(ours, theirs):
    """Byte for byte if one version of matplotlib drew both, else nearly pixel for pixel."""
    versions = {Image.open(path.with_suffix('.png')).text['Software'] for path in (ours, theirs)}
    if len(versions) == 1:
        assert ours.read_bytes() == theirs.read_bytes(), (
            '{} is not what the runs say: make figure2 FROM=results'.format(theirs))
    elif ours.suffix == '.png':
        one, other = image.imread(ours), image.imread(theirs)
        assert one.shape == other.shape
        assert np.abs(one - other).mean() < 0.01


def test_results_have_their_figures():
    for place in {path.parts[-5:-3] for path in ROOT.glob('results/*/*/*/*/*/result.json')
                  if path.parts[-6] in study.EXPERIMENTS}:
        assert figures.folder(ROOT / 'results', *place) in COMMITTED


def test_hparams_of_the_runs_that_are_there(write_run, tmp_path, monkeypatch):
    assert figures.hparams(tmp_path / 'runs', 'short', 'cifar10') == ['table1']
    for variant in ('tuned', 'mine'):
        write_run('adam', 2048, variant=variant)
    monkeypatch.setattr(figures.plan, 'cells_file', _only_tuned)
    assert figures.hparams(tmp_path / 'runs', 'short', 'cifar10') == ['table1', 'tuned']


def _only_tuned(name):
    if name != 'tuned':
        raise figures.ConfigError('there is no such file')


def test_lines_are_as_wide_as_asked():
    with drawing.style():
        found = drawing.wrap('some words that do not fit into one inch of print', 1, 7)
        assert len(found) > 1
        assert ' '.join(found) == 'some words that do not fit into one inch of print'
        assert all(drawing._width(line, 7) <= 1 for line in found)


def test_a_figure_without_a_run_says_so(collect, styled):
    page = figure2.figure(collect())
    assert captions.NOTHING in [text.get_text() for text in page.axes[0].texts]
