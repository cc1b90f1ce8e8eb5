"""As much of SVG as the report draws with."""
import html
import math

BLUE, ORANGE, GREEN, GREY, INK = '#0072b2', '#d55e00', '#009e73', '#9aa3ae', '#1f2933'
"""Told apart by colour-blind readers (Okabe and Ito), and by their lightness in print."""


class Scale:
    """From values to pixels.

    Args:
        low (float), high (float): values at the ends.
        start (float), end (float): pixels there.
        logarithmic (bool): whether equal ratios have equal lengths.
    """

    def __init__(self, low, high, start, end, logarithmic=False):
        if not low < high:
            margin = abs(low) * 0.05 or 0.5
            low, high = low - margin, high + margin
            logarithmic = logarithmic and low > 0
        self.low, self.high, self.start, self.end = low, high, start, end
        self.logarithmic = logarithmic

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, wanted=5):
        """Round values inside the scale, about as many as wanted."""
        if self.logarithmic:
            decades = [10.0 ** k for k in range(math.ceil(math.log10(self.low) - 1e-9),
                                                math.floor(math.log10(self.high) + 1e-9) + 1)]
            if len(decades) >= 2:
                return decades[::max(1, math.ceil(len(decades) / wanted))]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / wanted))
        step *= next(factor for factor in (1, 2, 5, 10)
                     if (self.high - self.low) / (step * factor) <= wanted)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def element(name, *children, **attributes):
    """One element; an underscore in an attribute's name is a hyphen, one at its end is dropped."""
    written = ''.join(' {}="{}"'.format(key.rstrip('_').replace('_', '-'), html.escape(
        '{:.2f}'.format(value) if isinstance(value, float) else str(value)))
        for key, value in attributes.items() if value is not None)
    if not children:
        return '<{}{}/>'.format(name, written)
    return '<{}{}>{}</{}>'.format(name, written, ''.join(children), name)


def drawing(width, height, *children, title):
    """A whole picture, as wide as the page lets it be."""
    return element('svg', *children, viewBox='0 0 {} {}'.format(width, height), role='img',
                   aria_label=title, xmlns='http://www.w3.org/2000/svg')


def text(x, y, content, anchor='start', **attributes):
    return element('text', html.escape(str(content)), x=float(x), y=float(y), text_anchor=anchor,
                   **attributes)


def x_axis(scale, y, top, label=None):
    """Ticks and labels below ``y``, and faint lines up to ``top``."""
    marks = [element('line', x1=float(scale.start), x2=float(scale.end), y1=float(y), y2=float(y),
                     class_='axis')]
    for value in scale.ticks():
        x = scale(value)
        marks += [element('line', x1=x, x2=x, y1=float(top), y2=float(y), class_='grid'),
                  text(x, y + 15, number(value), 'middle', class_='tick')]
    if label:
        marks.append(text((scale.start + scale.end) / 2, y + 32, label, 'middle', class_='label'))
    return ''.join(marks)


def y_axis(scale, x, right, label=None):
    """Ticks and labels left of ``x``, and faint lines to ``right``."""
    marks = []
    for value in scale.ticks():
        y = scale(value)
        marks += [element('line', x1=float(x), x2=float(right), y1=y, y2=y, class_='grid'),
                  text(x - 6, y + 4, number(value), 'end', class_='tick')]
    if label:
        middle = (scale.start + scale.end) / 2
        marks.append(text(14, middle, label, 'middle', class_='label',
                          transform='rotate(-90 14 {:.1f})'.format(middle)))
    return ''.join(marks)


def path(points, **attributes):
    """A line through points."""
    return element('path', d='M' + 'L'.join('{:.2f},{:.2f}'.format(x, y) for x, y in points),
                   fill='none', **attributes)


def number(value):
    """A number with as few digits as it needs: 0.001, 2.5e-05, 1200."""
    return '{:.4g}'.format(value) if abs(value) > 1e-12 else '0'
