"""All trials as a table that can be sorted."""
import html

from chainer_kfac.analysis.search_report import marks
from chainer_kfac.search import export, results

_BEFORE = (('tid', 'trial'), ('state', 'state'), ('loss', 'loss'))
_AFTER = (('epochs', 'epochs'), ('seconds', 'seconds'), ('origin', 'origin'),
          ('attempt', 'attempts'), ('owner', 'worker'))

_WORDS = ('state', 'origin', 'owner')


def draw(experiment, trials):
    """The table as HTML; numbers carry their full value for the sorting."""
    columns = [*_BEFORE, *((name, name) for name in experiment.space.names), *_AFTER]
    top = results.best(trials)
    head = ''.join('<th{}>{}</th>'.format('' if key in _WORDS else ' class="number"',
                                          html.escape(label)) for key, label in columns)
    rows = []
    for trial in trials:
        row = export.row(experiment, trial)
        if row['state'] == 'failed':
            row['state'] = 'failed: {}'.format(row['reason'])
        elif row['pruned']:
            row['state'] = 'pruned ({})'.format(row['pruned'])
        cells = ''.join(_cell(row.get(key)) for key, _ in columns)
        rows.append('<tr class="{}" data-tid="{}">{}</tr>'.format(
            marks.kind(trial, top), int(trial['tid']), cells))
    return ('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>\n{}\n</tbody></table>'
            '</div>'.format(head, '\n'.join(rows)))


def _cell(value):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return '<td class="number" data-value="{!r}">{:.5g}</td>'.format(float(value), value)
    return '<td>{}</td>'.format(html.escape('' if value is None else str(value)[:80]))
