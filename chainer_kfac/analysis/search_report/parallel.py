"""Parallel coordinates: one axis a hyperparameter and one for the loss, one line a trial."""
from chainer_kfac.analysis.search_report import marks, svg
from chainer_kfac.search import results

WIDTH, HEIGHT = 1040, 336
LEFT, RIGHT, TOP, BOTTOM = 60, 1005, 40, 320


def draw(experiment, trials):
    """The panel as HTML. ``page.js`` adds the brushes: each line knows where it crosses."""
    bounds = marks.loss_range(trials)
    if bounds is None:
        return marks.EMPTY
    dimensions = experiment.space.dimensions
    scales = [svg.Scale(each.low, each.high, BOTTOM, TOP, each.logarithmic) for each in dimensions]
    loss_scale = svg.Scale(*bounds, BOTTOM, TOP)
    step = (RIGHT - LEFT) / len(dimensions)
    columns = [LEFT + index * step for index in range(len(dimensions) + 1)]
    top = results.best(trials)
    good = sorted(filter(results.is_good, trials), key=lambda trial: -trial['result']['loss'])
    lines = []
    for rank, trial in enumerate(good):  # the worst first, so that the best lie on top
        values = [trial['misc']['vals'][each.name][0] for each in dimensions]
        heights = [scale(value) for scale, value in zip(scales, values, strict=True)]
        heights.append(loss_scale(trial['result']['loss']))
        lines.append(svg.path(
            zip(columns, heights, strict=True), class_='line ' + marks.kind(trial, top),
            stroke=_shade(rank / max(1, len(good) - 1)), data_tid=int(trial['tid']),
            data_tip=marks.describe(trial),
            data_y=' '.join('{:.1f}'.format(height) for height in heights)))
    axes = [_axis(column, scale, each.name, index) for index, (column, scale, each) in enumerate(
        zip(columns, scales, dimensions, strict=False))]
    axes.append(_axis(columns[-1], loss_scale, 'loss', len(dimensions)))
    return svg.drawing(WIDTH, HEIGHT, *lines, *axes, title='hyperparameters of each trial')


def _shade(share):
    """From light grey (0, the worst) to dark blue (1)."""
    start, end = (214, 219, 226), (0, 84, 140)
    return '#' + ''.join('{:02x}'.format(round(a + (b - a) * share ** 1.5))
                         for a, b in zip(start, end, strict=True))


def _axis(x, scale, name, index):
    parts = [svg.element('line', x1=float(x), x2=float(x), y1=TOP, y2=BOTTOM, class_='axis'),
             svg.text(x, TOP - 14, name, 'middle', class_='label')]
    for value in scale.ticks(4):
        y = scale(value)
        parts += [svg.element('line', x1=float(x) - 4, x2=float(x), y1=y, y2=y, class_='axis'),
                  svg.text(x - 7, y + 4, svg.number(value), 'end', class_='tick halo')]
    parts.append(svg.element('rect', x=float(x) - 12, y=TOP - 4, width=24, height=BOTTOM - TOP + 8,
                             class_='brush', data_axis=index))
    return ''.join(parts)
