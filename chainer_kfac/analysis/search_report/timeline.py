"""Who did what when: one row a worker, one bar an attempt."""
from chainer_kfac.analysis.search_report import svg
from chainer_kfac.search import results
from chainer_kfac.search.documents import DONE, ERROR, RUNNING

WIDTH, ROW = 1040, 22
LEFT, RIGHT, TOP = 190, 1020, 10
MOST_ROWS = 60
_KEYS = (('done', 'ended'), ('pruned', 'pruned'), ('failed', 'failed'), ('silent', 'worker died'),
         ('released', 'given back'), ('open', 'running'))


def draw(trials):
    """The panel as HTML."""
    bars = [bar for trial in trials for bar in attempts(trial)]
    if not bars:
        return '<p class="empty">No trial has begun yet.</p>'
    first = min(start for _, start, _, _, _ in bars)
    last = max(end for _, _, end, _, _ in bars)
    unit, name = _unit((last - first).total_seconds())
    owners = list(dict.fromkeys(owner for owner, *_ in sorted(bars, key=lambda bar: bar[1])))
    x = svg.Scale(0, (last - first).total_seconds() / unit, LEFT, RIGHT)
    shown = owners[:MOST_ROWS]
    bottom = TOP + ROW * len(shown)
    parts = [svg.x_axis(x, bottom, TOP, name + ' since the first reservation')]
    for index, owner in enumerate(shown):
        parts.append(svg.text(LEFT - 8, TOP + index * ROW + 15, _short(owner), 'end',
                              class_='tick'))
    for owner, start, end, kind, tip in bars:
        if owner in shown:
            begin, stop = (x((each - first).total_seconds() / unit) for each in (start, end))
            parts.append(svg.element(
                'rect', x=begin, y=float(TOP + shown.index(owner) * ROW + 3),
                width=max(1.5, stop - begin - 0.6), height=ROW - 6, class_='span ' + kind,
                data_tip=tip))
    legend = '<p class="legend">{}</p>'.format(''.join(
        '<span class="key bar {}">{}</span>'.format(*each) for each in _KEYS))
    more = '' if len(owners) <= MOST_ROWS else '<p>{} more workers are not shown.</p>'.format(
        len(owners) - MOST_ROWS)
    return legend + svg.drawing(WIDTH, bottom + 40, *parts, title='what each worker did') + more


def attempts(trial):
    """The attempts at a trial: (owner, start, end, kind, words) each; times are the server's."""
    found = []
    for past in trial.get('history', ()):
        if past.get('start') and past.get('end'):
            reason = str(past.get('reason'))
            kind = 'silent' if reason == 'silent' else 'released'
            found.append((str(past.get('owner')), past['start'], past['end'], kind,
                          'trial {}, attempt {}: {}'.format(trial['tid'], past.get('attempt'),
                                                            reason)))
    start, end = trial.get('book_time'), trial.get('end_time') or trial.get('refresh_time')
    held = trial['owner'] is not None       # else the last attempt is in the history
    if held and trial['state'] in (RUNNING, DONE, ERROR) and start and end and end >= start:
        if trial['state'] == RUNNING:
            kind, words = 'open', 'running'
        elif results.is_failed(trial):
            kind, words = 'failed', 'failed: {}'.format(trial['result'].get('reason'))
        else:
            kind = 'pruned' if trial['result'].get('pruned') else 'done'
            words = 'loss {:.5g}'.format(trial['result']['loss'])
        found.append((str(trial['owner']), start, end, kind, 'trial {}, attempt {}: {}'.format(
            trial['tid'], trial.get('attempt'), words)))
    return found


def _unit(seconds):
    for unit, name in ((86400, 'days'), (3600, 'hours'), (60, 'minutes')):
        if seconds >= 3 * unit:
            return unit, name
    return 1, 'seconds'


def _short(owner):
    """Host and process, without the part that only makes it unique."""
    return ':'.join(owner.split(':')[:2])[-28:]
