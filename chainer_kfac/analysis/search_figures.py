"""The course of searches as a figure; drawn within ``drawing.style()``."""
from collections.abc import Sequence
from itertools import accumulate

from chainer_kfac.analysis import drawing, lines
from chainer_kfac.analysis.searches import Search

_WHOLE = {'marker': 'o', 'linestyle': '', 'color': '#0072B2'}
_PRUNED = {'marker': 'x', 'linestyle': '', 'color': '#D55E00'}
_BEST = {'color': '#000000', 'drawstyle': 'steps-post'}


def history(found: Sequence[Search]):
    """Accuracy of every trial and the best so far, one panel a search.

    Args:
        found (sequence of Search): one at least.
    Returns:
        matplotlib.figure.Figure
    """
    handles = [lines.handle(label, **style) for label, style in (
        ('whole trial', _WHOLE), ('pruned, best accuracy so far', _PRUNED), ('best so far', _BEST))]
    page, axes = drawing.page(
        drawing.TEXT, (2.1,), len(found), 'Accuracy of the trials of each search',
        _subtitle(found), [handles], [])
    for axis, each in zip(axes[0], found, strict=True):
        numbers = [trial['tid'] for trial in each.done]
        accuracies = each.accuracies()
        for style, pruned in ((_WHOLE, False), (_PRUNED, True)):
            points = [point for trial, *point in zip(each.done, numbers, accuracies, strict=True)
                      if bool(trial['result'].get('pruned')) == pruned]
            axis.plot([x for x, _ in points], [y for _, y in points], **style)
        axis.plot(numbers, list(accumulate(accuracies, max)), **_BEST)
        axis.set_title(each.cell)
        axis.set_xlabel('trial')
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].set_ylabel('best accuracy')
    return page


def _subtitle(found):
    parts = ['{}: {} epochs, chosen on {}'.format(
        each.cell, each.settings['epochs'],
        {'test': 'the test images', 'holdout': 'held-out training images'}[
            each.settings['select_on']]) for each in found]
    return '{}. {}.'.format(', '.join(sorted({each.label for each in found})),
                            '; '.join(parts))
