"""The figure of a benchmark's result: stacked phases of each step."""
from benchmarks.clock import PHASES

_COLOURS = dict(zip(PHASES, (
    '#4477aa', '#66ccee', '#228833', '#ccbb44', '#ee6677', '#aa3377'), strict=True))
_PANEL = 3.2


def draw(result: dict, path: str) -> None:
    """One panel for each batch size and number of threads, one bar for each step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measured = result['steps']
    columns = min(3, len(measured))
    lines = -(-len(measured) // columns)
    figure = Figure(figsize=(1.5 + 4.2 * columns, _PANEL * lines))
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, entry in zip(axes, measured, strict=False):
        _panel(axis, entry)
    for axis in axes[len(measured):]:
        axis.axis('off')
    figure.legend(*axes[0].get_legend_handles_labels(), loc='upper center', ncols=len(PHASES),
                  frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / (_PANEL * lines)))
    figure.savefig(path, dpi=120)


def _panel(axis, entry):
    rows = [row for row in entry['rows'] if row['name'] != 'augmentation']
    names = [row['name'] for row in rows]
    start = [0.0] * len(rows)
    for phase in PHASES:
        widths = [row['phases'].get(phase, 0.0) for row in rows]
        axis.barh(names, widths, left=start, label=phase, color=_COLOURS[phase])
        start = [a + b for a, b in zip(start, widths, strict=True)]
    axis.invert_yaxis()
    axis.set_xlabel('ms')
    threads = '' if entry['threads'] is None else ', threads: {}'.format(entry['threads'])
    axis.set_title('batch {}{}'.format(entry['batch'], threads), fontsize=10)
    axis.tick_params(labelsize=8)
    axis.spines[['top', 'right']].set_visible(False)
