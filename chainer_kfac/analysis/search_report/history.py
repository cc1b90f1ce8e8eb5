"""Loss against the number of the trial, with the best so far."""
from chainer_kfac.analysis.search_report import marks, svg
from chainer_kfac.search import results

WIDTH, HEIGHT = 1040, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 1020, 26, 270


def draw(trials):
    """The panel as HTML."""
    bounds = marks.loss_range(trials)
    if bounds is None:
        return marks.EMPTY
    top = results.best(trials)
    x = svg.Scale(-0.5, max(trial['tid'] for trial in trials) + 0.5, LEFT, RIGHT)
    y = svg.Scale(*bounds, BOTTOM - 14, TOP + 14)
    points, steps, best = [], [], None
    for trial in trials:
        if results.is_failed(trial):
            points.append(marks.point(x(trial['tid']), TOP, trial, top))
        elif results.is_good(trial):
            loss = trial['result']['loss']
            points.append(marks.point(x(trial['tid']), y(loss), trial, top))
            if best is None or loss < best:
                if best is not None:
                    steps.append((x(trial['tid']), y(best)))
                best = loss
                steps.append((x(trial['tid']), y(best)))
    steps.append((RIGHT, y(best)))
    picture = svg.drawing(
        WIDTH, HEIGHT, svg.x_axis(x, BOTTOM, TOP, 'trial'), svg.y_axis(y, LEFT, RIGHT, 'loss'),
        svg.path(steps, class_='best-so-far'), *points, title='loss of each trial')
    return marks.legend() + picture
