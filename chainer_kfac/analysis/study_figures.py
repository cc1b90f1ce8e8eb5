"""The batch-size study drawn: accuracy over the course of the runs, and where it ends."""
import math

from chainer_kfac.analysis import captions, drawing, lines, table1_text

_AXES = {'iteration': ('iterations', 'log'), 'epoch': ('epochs', 'linear'),
         'seconds': ('minutes', 'log')}
_PANEL = 1.75
_GAP = 'Train − validation: at the last epoch.'
_MINUTES = ('Minutes: epochs times the median epoch of a run, so that a pause of the machine is no '
            'part of them.')
_DEVICES = 'They are of different devices, {}, and do not compare throughout.'


def courses(study):
    """A column for each optimizer: accuracy against iterations, epochs and minutes.

    Args:
        study (Study): its runs are drawn as far as their logs go.
    Returns:
        matplotlib.figure.Figure: drawn within ``drawing.style()``.
    """
    sizes = study.batch_sizes
    handles = [lines.handle('batch {}'.format(size), **lines.of_batch_size(size, sizes))
               for size in sizes]
    notes = [*captions.notes(study, study.series, 'Bands', lines.END), *_of_minutes(study)]
    page, axes = drawing.page(
        drawing.TEXT, [_PANEL] * len(_AXES), len(study.optimizers),
        captions.title(study, 'Accuracy over the course of training, batch size {} to {}'.format(
            sizes[0], sizes[-1])),
        captions.subtitle(study, study.series), [handles + lines.kinds()], notes,
        sharex='row', sharey=True)
    for column, optimizer in zip(axes.T, study.optimizers, strict=True):
        column[0].set_title(table1_text.NAMES[optimizer], loc='left', weight='bold')
        for axis, (name, (_, scale)) in zip(column, _AXES.items(), strict=True):
            axis.set_xscale(scale)
            for series in study.of(optimizer):
                _course(axis, name, series, lines.of_batch_size(series.cell.batch_size, sizes))
            if not any(series.curves for series in study.of(optimizer)):
                drawing.say(axis, captions.NOTHING)
    for row, (label, scale) in zip(axes, _AXES.values(), strict=True):
        row[0].set_ylabel('accuracy')
        for axis in row:
            axis.set_xlabel(label)
            if scale == 'log':
                drawing.log_ticks(axis)
    return page


def _of_minutes(study):
    devices = sorted({run.result['device'] for series in study.series for run in series.runs
                      if run.result})
    if len(devices) == 1:
        return [_MINUTES, 'They are of {}.'.format(*devices)]
    return [_MINUTES, _DEVICES.format(' and '.join(devices))] if devices else [_MINUTES]


def _course(axis, name, series, style):
    for curve in series.curves:
        x = curve.x[name]
        if name == 'seconds':
            x = [seconds / 60 for seconds in x]
        for kind in ('train', 'validation'):
            lines.draw(axis, x, curve, getattr(curve, kind), {**style, **lines.of_kind(kind)})


def ends(study):
    """Best and last validation accuracy, and the overfitting gap, against batch size.

    Args:
        study (Study): its finished runs are drawn.
    Returns:
        matplotlib.figure.Figure: drawn within ``drawing.style()``.
    """
    sizes = study.batch_sizes
    handles = [lines.handle(table1_text.NAMES[optimizer], **lines.of_optimizer(optimizer))
               for optimizer in study.optimizers]
    kinds = [lines.handle(label, **style) for label, style in _ENDS.items()]
    page, ((accuracy,), (gap,)) = drawing.page(
        drawing.COLUMN, (2.1, 1.15), 1, captions.title(study, 'Accuracy against batch size'),
        captions.subtitle(study, study.series), [handles, kinds],
        [_GAP, *captions.notes(study, study.series, 'Bars', 'not drawn')], sharey=False)
    for optimizer in study.optimizers:
        series, style = study.of(optimizer), lines.of_optimizer(optimizer)
        for key, kind in zip(('best', 'last', 'paper'), _ENDS.values(), strict=True):
            _spread(accuracy, series, key, {**style, **kind})
        _spread(gap, series, 'gap', style)
    accuracy.set_ylabel('validation accuracy')
    gap.axhline(0, color=drawing.GREY, linewidth=0.6)
    gap.set_ylabel('train − validation')
    gap.set_xlabel('batch size')
    gap.set_xscale('log', base=2)
    gap.set_xticks(sizes, list(map(str, sizes)))
    gap.set_xlim(sizes[0] / 1.2, sizes[-1] * 1.2)
    return page


_ENDS = {'best epoch': {'linestyle': '-'},
         'last epoch': {'linestyle': (0, (3, 1.2)), 'markerfacecolor': 'white'},
         "paper's Table 1": {'linestyle': ':', 'marker': '+', 'markersize': 5}}


def _spread(axis, series, key, style):
    """Mean over the seeds, and a bar from the lowest to the highest of them.

    A cell without runs breaks the line, but for the paper's own, which has fewer cells.
    """
    points = []
    for each in series:
        value = each.row[key]
        if value is None and key == 'paper':
            continue
        values = value['values'] if isinstance(value, dict) else [
            math.nan if value is None else value]
        points.append((each.cell.batch_size, sum(values) / len(values), min(values), max(values)))
    if not all(math.isnan(mean) for _, mean, *_ in points):
        x, mean, low, high = zip(*points, strict=True)
        axis.plot(x, mean, **style)
        axis.vlines(x, low, high, color=style['color'], linewidth=0.9, zorder=1.9)
