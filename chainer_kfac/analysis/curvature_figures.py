"""Figures of the spectra of K-FAC's factors; drawn within ``drawing.style()``."""
from collections.abc import Sequence

import numpy as np

from chainer_kfac.analysis import drawing, lines
from chainer_kfac.analysis.curvature import Spectra

_COLOURS = ('#000000', '#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#F0E442')
_STYLES = ('-', (0, (5, 1.2)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_TITLES = {'A': 'A, of the layer inputs', 'G': 'G, of the output gradients'}
_FLOOR = 1e-6  # in units of the damping term; what is below is nothing beside it
_WAYS = {'A, pi = 1': {'marker': 's', 'color': '#0072B2'},
         'G, pi = 1': {'marker': 'v', 'color': '#D55E00'},
         'A and G, with pi': {'marker': 'o', 'color': '#000000'}}


def spectra(found: Sequence[Spectra], epoch: int):
    """Eigenvalues in units of the damping term: one column a run, one row a factor.

    Args:
        found (sequence of Spectra): runs of the same model.
        epoch (int): after which epoch.
    Returns:
        matplotlib.figure.Figure
    """
    styles = {block: _style(i) for i, block in enumerate(found[0].blocks)}
    handles = [lines.handle(_short(block), **style) for block, style in styles.items()]
    page, axes = drawing.page(
        drawing.TEXT, (1.9, 1.9), len(found), 'Spectra of the Kronecker factors',
        _subtitle(found, epoch), [handles],
        ['Eigenvalue i of the running average over the term that damping adds to it; where the '
         'curve is below 1, damping decides. A curve that drops to the floor is a factor of less '
         'than full rank.'])
    for column, each in zip(axes.T, found, strict=True):
        for axis, kind in zip(column, 'AG', strict=True):
            for factor in each.factors(epoch):
                if factor.kind == kind:
                    values = np.maximum(factor.relative, _FLOOR)
                    axis.loglog(np.arange(1, len(values) + 1), values, **styles[factor.block])
            axis.axhline(1, color=drawing.GREY, linewidth=0.8)
        column[0].set_title(reading(each))
        column[-1].set_xlabel('i')
    for axis, kind in zip(axes[:, 0], 'AG', strict=True):
        axis.set_ylabel(_TITLES[kind] + '\neigenvalue / damping term')
    return page


def shares(each: Spectra, epoch: int):
    """The damping term over the mean eigenvalue: with pi as it is, and with pi = 1.

    With pi it is the same for A and for G of a layer, which is what pi is for.

    Returns:
        matplotlib.figure.Figure
    """
    page, ((axis,),) = drawing.page(
        drawing.COLUMN, (2.1,), 1, 'Damping against pi', _subtitle([each], epoch),
        [[lines.handle(name, linestyle='', **style) for name, style in _WAYS.items()]], [])
    for place, block in enumerate(each.blocks):
        for (_, style), value in zip(_WAYS.items(), relative_damping(each, block, epoch),
                                     strict=True):
            axis.plot([place], [value], linestyle='', **style)
    axis.axhline(1, color=drawing.GREY, linewidth=0.8)
    axis.set_yscale('log')
    axis.set_xticks(range(len(each.blocks)), list(map(_short, each.blocks)))
    axis.set_ylabel('damping term / mean eigenvalue')
    return page


def relative_damping(each: Spectra, block: str, epoch: int) -> tuple[float, float, float]:
    """sqrt(damping) over the mean eigenvalue of A, of G, and over the root of their product."""
    root = each.damping(block, epoch) ** 0.5
    means = [factor.mean for factor in each.factors(epoch) if factor.block == block]
    return root / means[0], root / means[1], root / (means[0] * means[1]) ** 0.5


def reading(each: Spectra) -> str:
    """How a run has averaged its factors: 'cov_ema_decay 0.99 weighs the new factors'."""
    config = each.run.config
    return 'cov_ema_decay {:g} weighs the {} factors'.format(
        config['cov_ema_decay'], config['ema_weighs'])


def _subtitle(found, epoch):
    run = found[0].run
    config, data = run.config, run.result['dataset']
    return '{}, {:,} images, K-FAC at batch {}, lr {:g}, damping {:g}, after epoch {}'.format(
        data['label'], data['train_size'], config['batch_size'], config['lr'],
        config['damping'], epoch)


def _style(place):
    return {'color': _COLOURS[place % len(_COLOURS)], 'linestyle': _STYLES[place % len(_STYLES)]}


def _short(block):
    return block.rpartition('/')[2]
