"""Each hyperparameter against the loss, with TPE's densities below."""
from chainer_kfac.analysis.search_report import densities, marks, svg
from chainer_kfac.search import results

WIDTH, HEIGHT = 510, 320
LEFT, RIGHT, TOP = 62, 500, 30
LOSS_BOTTOM, DENSITY_TOP, BOTTOM = 196, 210, 270
ENOUGH = 2


def draw(experiment, trials):
    """The panels as HTML, two a row."""
    bounds = marks.loss_range(trials)
    if bounds is None:
        return marks.EMPTY
    top = results.best(trials)
    ended = [trial for trial in trials if results.is_good(trial) or results.is_failed(trial)]
    pictures = [_panel(each, ended, bounds, top, experiment.search['gamma'])
                for each in experiment.space.dimensions]
    legend = ('<p class="legend"><span class="key l">l, the best trials</span>'
              '<span class="key g">g, the others</span></p>')
    return legend + '<div class="grid2">{}</div>'.format('\n'.join(pictures))


def _panel(dimension, trials, bounds, top, gamma):
    x = svg.Scale(dimension.low, dimension.high, LEFT, RIGHT, dimension.logarithmic)
    y = svg.Scale(*bounds, LOSS_BOTTOM - 6, TOP + 8)
    points = []
    for trial in trials:
        value = trial['misc']['vals'][dimension.name][0]
        height = y(trial['result']['loss']) if results.is_good(trial) else TOP - 4
        points.append(marks.point(x(value), height, trial, top))
    parts = [svg.text((LEFT + RIGHT) / 2, 14, dimension.name, 'middle', class_='title'),
             svg.y_axis(y, LEFT, RIGHT, 'loss'), svg.x_axis(x, BOTTOM, DENSITY_TOP), *points]
    if len(trials) >= ENOUGH:
        parts += _densities(dimension, trials, x, gamma)
    return svg.drawing(WIDTH, HEIGHT - 20, *parts, title='loss against ' + dimension.name)


def _densities(dimension, trials, x, gamma):
    values, below, above = densities.curves(trials, dimension, gamma)
    y = svg.Scale(0, max(below.max(), above.max()) * 1.05, BOTTOM, DENSITY_TOP)
    places = [x(value) for value in values]
    parts = []
    for density, name in ((above, 'g'), (below, 'l')):
        line = [(place, y(height)) for place, height in zip(places, density, strict=True)]
        area = [(places[0], BOTTOM), *line, (places[-1], BOTTOM)]
        parts += [svg.element('path', d='M' + 'L'.join('{:.2f},{:.2f}'.format(*each)
                                                       for each in area) + 'Z',
                              class_='area ' + name),
                  svg.path(line, class_='density ' + name)]
    return parts
