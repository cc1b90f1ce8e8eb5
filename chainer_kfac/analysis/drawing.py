"""Pages for figures: one style, sizes in inches of print, and the same bytes for the same content.

A page has, from the top, a title, a line about data, protocol and seeds, legends, panels and notes.
"""
import contextlib
import io
import itertools
import math
from collections.abc import Iterator, Sequence

from chainer_kfac.compat import require

COLUMN, TEXT = 3.4, 7.0
"""Widths of a page: of one column of a two-column paper, and of both."""

PURPOSE = 'drawing figures'
GREY = '0.35'
_TITLE, _BODY, _NOTE = 8.5, 7.0, 6.5  # points
_LEADING = 1.35
_MARGIN = 0.04  # inches
_LEGEND = {'frameon': False, 'borderpad': 0.2, 'borderaxespad': 0.1, 'handlelength': 2.0,
           'handletextpad': 0.5, 'columnspacing': 1.2, 'labelspacing': 0.35}  # in font sizes
_LEGEND_ROW, _LEGEND_PAD = 0.14, 0.03
_STYLE = {
    'font.family': 'DejaVu Sans',  # comes with matplotlib
    'text.hinting': 'none',        # text is as wide as in print at any resolution
    'font.size': _BODY, 'axes.titlesize': 7.5, 'axes.labelsize': _BODY,
    'xtick.labelsize': _NOTE, 'ytick.labelsize': _NOTE, 'legend.fontsize': _BODY,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.linewidth': 0.6,
    'axes.grid': True, 'grid.linewidth': 0.4, 'grid.color': '0.88', 'axes.axisbelow': True,
    'xtick.major.width': 0.6, 'ytick.major.width': 0.6, 'xtick.minor.width': 0.4,
    'lines.linewidth': 1.1, 'lines.markersize': 3.6, 'lines.markeredgewidth': 0.7,
    'pdf.fonttype': 42,            # text stays text
    'svg.hashsalt': 'chainer_kfac',
    'figure.constrained_layout.h_pad': 0.03, 'figure.constrained_layout.w_pad': 0.03,
}
_METADATA = {'pdf': {'Creator': None, 'Producer': None, 'CreationDate': None},
             'svg': {'Date': None, 'Creator': None}, 'png': {}}
_DPI = 200


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw and store within it, whatever a user's matplotlibrc says.

    Raises:
        MissingDependency: if matplotlib is not installed.
    """
    matplotlib = require('matplotlib', PURPOSE)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def page(width: float, heights: Sequence[float], columns: int, title: str, subtitle: str,
         legends: Sequence[Sequence], notes: Sequence[str], sharex='col', sharey='row'):
    """A figure with its texts and legends in place and its panels empty.

    Args:
        width (float): inches.
        heights (sequence of float): of each row of panels, with its labels, in inches.
        columns (int): of panels.
        title (str), subtitle (str): wrapped at the width.
        legends (sequence of sequences of Line2D): one legend below the other, none of them empty;
            a handle's label is its text.
        notes (sequence of str): sentences below the panels, wrapped as one paragraph.
        sharex, sharey: as for ``Figure.subplots``.
    Returns:
        (matplotlib.figure.Figure, array of Axes (rows, columns))
    """
    figure_of = require('matplotlib.figure', PURPOSE).Figure
    room = width - 2 * _MARGIN
    head = [(line, _TITLE, 'bold') for line in wrap(title, room, _TITLE, 'bold')]
    head += [(line, _BODY, 'normal') for line in wrap(subtitle, room, _BODY)]
    foot = [(line, _NOTE, 'normal') for line in wrap(' '.join(notes), room, _NOTE)]
    legends = [_legend_rows(handles, room) for handles in legends]
    above = sum(map(_line_height, head)) + sum(map(_legend_height, legends)) + 2 * _MARGIN
    below = sum(map(_line_height, foot)) + 2 * _MARGIN
    total = above + sum(heights) + below

    figure = figure_of(figsize=(width, total), layout='constrained')
    figure.get_layout_engine().set(rect=(0, below / total, 1, sum(heights) / total))
    top = total - _MARGIN
    top = _lines(figure, head, top)
    for columns_of_legend in legends:
        figure.legend(handles=list(itertools.chain(*columns_of_legend)), loc='upper left',
                      bbox_to_anchor=(0, top / total), ncols=len(columns_of_legend), **_LEGEND)
        top -= _legend_height(columns_of_legend)
    _lines(figure, foot, below - _MARGIN, GREY)
    axes = figure.subplots(len(heights), columns, squeeze=False, sharex=sharex, sharey=sharey,
                           gridspec_kw={'height_ratios': heights})
    return figure, axes


def log_ticks(axis) -> None:
    """Number the ticks of a logarithmic x axis once its limits are known, as densely as fits."""
    ticker = require('matplotlib.ticker', PURPOSE)
    low, high = axis.get_xlim()
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 2.9 else (1,)
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.xaxis.set_major_formatter('{x:,g}')
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())


def say(axis, text: str) -> None:
    """Write a text in the middle of an empty panel."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha='center', va='center', color=GREY)


def render(figure, kinds: Sequence[str] = tuple(_METADATA)) -> dict[str, bytes]:
    """The figure as PDF, SVG and PNG: suffix -> bytes, without the time of their making.

    Args:
        kinds (sequence of str): only these of 'pdf', 'svg' and 'png'.
    """
    require('matplotlib.backends.backend_agg', PURPOSE).FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine('none')  # all formats have the layout of this canvas
    found = {}
    for kind in kinds:
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, dpi=_DPI, metadata=_METADATA[kind])
        found['.' + kind] = stream.getvalue()
    return found


def wrap(text: str, width: float, size: float, weight: str = 'normal') -> list[str]:
    """Lines that are no wider than ``width`` inches in a size of ``size`` points."""
    lines = []
    for word in text.split():
        if lines and _width('{} {}'.format(lines[-1], word), size, weight) <= width:
            lines[-1] += ' ' + word
        else:
            lines.append(word)
    return lines


def _width(text, size, weight='normal'):
    """Inches; of the points of the glyphs' outlines, so that it needs no canvas."""
    text_path = require('matplotlib.textpath', PURPOSE).TextPath
    font = require('matplotlib.font_manager', PURPOSE).FontProperties(
        family='DejaVu Sans', size=size, weight=weight)
    return text_path((0, 0), text, prop=font).vertices[:, 0].max() / 72


def _legend_rows(handles, room):
    """The handles as columns, row by row from left to right, as many as fit beside each other."""
    beside = (_LEGEND['handlelength'] + _LEGEND['handletextpad'] + _LEGEND['columnspacing'])
    for count in range(len(handles), 0, -1):
        columns = [handles[i::count] for i in range(count)]
        widths = [max(_width(handle.get_label(), _BODY) for handle in column) for column in columns]
        if sum(widths) + count * beside * _BODY / 72 <= room:
            break
    return columns


def _legend_height(columns):
    return _LEGEND_ROW * len(columns[0]) + _LEGEND_PAD


def _line_height(line):
    return line[1] * _LEADING / 72


def _lines(figure, lines, top, colour='black'):
    """Write lines from ``top`` inches downwards; returns where the next would start."""
    width, height = figure.get_size_inches()
    for text, size, weight in lines:
        figure.text(_MARGIN / width, top / height, text, size=size, weight=weight, va='top',
                    color=colour)
        top -= size * _LEADING / 72
    return top
