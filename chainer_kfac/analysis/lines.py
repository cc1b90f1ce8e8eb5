"""Lines of figures: what tells optimizers and batch sizes apart, also in grey and to every eye."""
from collections.abc import Sequence

from chainer_kfac.analysis.curves import Band, Curve
from chainer_kfac.analysis.drawing import GREY, PURPOSE
from chainer_kfac.compat import require

_OPTIMIZERS = {  # colours of Okabe and Ito, far apart in brightness too
    'momentum_sgd': {'color': '#0072B2', 'marker': 'o'},
    'adam': {'color': '#E69F00', 'marker': 's'},
    'kfac': {'color': '#000000', 'marker': '^'},
}
_MARKERS = 'os^Dvph*'
_KINDS = {'validation': {'linestyle': '-'},
          'train': {'linestyle': (0, (3, 1.2)), 'linewidth': 0.8, 'marker': '', 'alpha': 0.8}}
END = 'open mark at the end of the line'
_ENDS = {'unfinished': '>'}
_BAND = 0.22
_MARK_EVERY = 0.16  # of the panel's diagonal


def of_optimizer(optimizer: str) -> dict:
    """Colour and marker of an optimizer."""
    return _OPTIMIZERS[optimizer]


def of_batch_size(batch_size: int, batch_sizes: Sequence[int]) -> dict:
    """Colour and marker of a batch size: the larger the lighter."""
    place = sorted(batch_sizes).index(batch_size)
    colours = require('matplotlib', PURPOSE).colormaps['viridis']
    return {'color': colours(0.8 * place / max(1, len(batch_sizes) - 1)),
            'marker': _MARKERS[place % len(_MARKERS)]}


def of_kind(kind: str) -> dict:
    """Line of 'validation' or 'train', to put over that of an optimizer or a batch size."""
    return _KINDS[kind]


def draw(axis, x: Sequence[float], curve: Curve, band: Band, style: dict) -> None:
    """Draw one band of a curve: its mean, its seeds, and a mark at the end of an unfinished one."""
    axis.plot(x, band.mean, markevery=_MARK_EVERY, **style)
    if len(curve.seeds) > 1:
        axis.fill_between(x, band.low, band.high, color=style['color'], alpha=_BAND, linewidth=0)
    if curve.state != 'finished':
        axis.plot(x[-1:], band.mean[-1:], marker=_ENDS.get(curve.state, 'X'), markersize=5.5,
                  markerfacecolor='white', markeredgecolor=style['color'], linestyle='')


def handle(label: str, **style):
    """An entry of a legend."""
    line = require('matplotlib.lines', PURPOSE).Line2D
    return line([], [], label=label, **{'color': GREY, **style})


def kinds() -> list:
    """The entries of a legend for training and validation."""
    return [handle(name, **style) for name, style in _KINDS.items()]
