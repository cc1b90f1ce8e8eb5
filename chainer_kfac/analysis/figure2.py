"""The paper's Figure 2: the three optimizers at batch size 2048, accuracy against iterations.

Below it, on the same iterations, the gap between training and validation accuracy: the paper takes
K-FAC's low accuracy for overfitting.
"""
from chainer_kfac.analysis import captions, drawing, lines

BATCH_SIZE = 2048
_HEIGHTS = (2.1, 1.15)


def figure(study):
    """Draw it within ``drawing.style()``.

    Args:
        study (Study): its runs at this batch size are drawn, as far as their logs go.
    Returns:
        matplotlib.figure.Figure
    """
    series = study.of(batch_size=BATCH_SIZE)
    page, ((accuracy,), (gap,)) = drawing.page(
        drawing.COLUMN, _HEIGHTS, 1,
        captions.title(study, 'Three optimizers at batch size {}'.format(BATCH_SIZE)),
        captions.subtitle(study, series), [list(map(_handle, series)), lines.kinds()],
        captions.notes(study, series, 'Bands', lines.END), sharey=False)
    for each in series:
        style = lines.of_optimizer(each.cell.optimizer)
        for curve in each.curves:
            x = curve.x['iteration']
            for kind in ('train', 'validation'):
                lines.draw(accuracy, x, curve, getattr(curve, kind),
                           {**style, **lines.of_kind(kind)})
            lines.draw(gap, x, curve, curve.gap, style)
    if not any(each.curves for each in series):
        drawing.say(accuracy, captions.NOTHING)
    accuracy.set_ylabel('accuracy')
    gap.axhline(0, color=drawing.GREY, linewidth=0.6)
    gap.set_ylabel('train − validation')
    gap.set_xlabel('iterations')
    return page


def _handle(series):
    style = lines.of_optimizer(series.cell.optimizer) if series.curves else {'linestyle': ''}
    return lines.handle(captions.label(series), **style)
