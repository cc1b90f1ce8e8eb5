"""How a trial looks wherever it is a point: its mark, its colour, its words."""
import html

from chainer_kfac.analysis.search_report import svg
from chainer_kfac.search import results

LEGEND = (('done', 'ended'), ('pruned', 'pruned'), ('failed', 'failed'), ('top', 'best'))


def kind(trial, top):
    """``'top'``, ``'done'``, ``'pruned'``, ``'failed'`` or ``'open'``."""
    if top is not None and trial['tid'] == top['tid']:
        return 'top'
    if results.is_failed(trial):
        return 'failed'
    if not results.is_good(trial):
        return 'open'
    return 'pruned' if trial['result'].get('pruned') else 'done'


def point(x, y, trial, top):
    """The mark of a trial: a disc, a ring where it was pruned, a cross where it failed."""
    shape = kind(trial, top)
    common = {'class_': 'trial ' + shape, 'data_tid': int(trial['tid']),
              'data_tip': describe(trial)}
    if shape == 'failed':
        d = 'M{0:.2f},{2:.2f}L{1:.2f},{3:.2f}M{0:.2f},{3:.2f}L{1:.2f},{2:.2f}'.format(
            x - 3.5, x + 3.5, y - 3.5, y + 3.5)
        return svg.element('path', d=d, **common)
    return svg.element('circle', cx=float(x), cy=float(y), r=6 if shape == 'top' else 4, **common)


def describe(trial):
    """What the pointer over a trial tells."""
    result = trial['result']
    lines = ['trial {}'.format(trial['tid'])]
    if results.is_good(trial):
        lines[0] += ', loss {:.5g}'.format(result['loss'])
    if result.get('pruned'):
        lines.append('pruned ({}) after {} epochs'.format(result['pruned'], result.get('epochs')))
    if results.is_failed(trial):
        lines.append('failed: {}, {}'.format(result.get('reason'), result.get('message')))
    vals = trial['misc']['vals']
    lines += ['{} = {:.5g}'.format(name, each[0]) for name, each in vals.items()]
    return '\n'.join(line[:120] for line in lines)


def legend():
    """What the marks mean, as HTML."""
    entries = ''.join('<span class="key {}">{}</span>'.format(shape, html.escape(label))
                      for shape, label in LEGEND)
    return '<p class="legend">{}</p>'.format(entries)


def loss_range(trials):
    """Lowest loss, and the highest worth showing: a few far outliers would flatten the rest."""
    losses = sorted(trial['result']['loss'] for trial in trials if results.is_good(trial))
    if not losses:
        return None
    middle = losses[len(losses) // 2]
    return losses[0], min(losses[-1], middle + 6 * (middle - losses[0]) or losses[-1])


EMPTY = '<p class="empty">No trial has ended with a loss yet.</p>'
