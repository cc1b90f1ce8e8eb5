"""The figure of the scaling benchmark: predicted step times over ranks."""

_COLOURS = ('#000000', '#ee6677', '#4477aa', '#228833', '#ccbb44', '#66ccee', '#aa3377',
            '#bbbbbb')
_SHOWN = 'InfiniBand EDR'


def draw(result: dict, path: str) -> None:
    """One panel for each model and kind of rank on one network, one line for each strategy."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [entry for entry in result['predicted'] if entry['network'] == _SHOWN]
    panels = list(dict.fromkeys((entry['model'], entry['rank']) for entry in shown))
    figure = Figure(figsize=(10, 1.2 + 3.1 * -(-len(panels) // 2)))
    FigureCanvasAgg(figure)
    axes = figure.subplots(-(-len(panels) // 2), 2, squeeze=False).ravel()
    for axis, (model, rank) in zip(axes, panels, strict=True):
        entries = [each for each in shown if (each['model'], each['rank']) == (model, rank)]
        for colour, entry in zip(_COLOURS, entries, strict=True):
            axis.plot(entry['ranks'], [1e3 * each for each in entry['seconds']], color=colour,
                      label=entry['strategy'], marker='.', linewidth=1.2)
        axis.set_xscale('log', base=2)
        axis.set_yscale('log')
        axis.set_title('{}, {} images a rank; {}'.format(model, entries[0]['batch'], rank),
                       fontsize=9)
        axis.set_xlabel('ranks')
        axis.set_ylabel('ms a step')
        axis.tick_params(labelsize=8)
        axis.spines[['top', 'right']].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc='upper center', ncols=3, frameon=False,
                  fontsize=8)
    figure.suptitle('Predicted, {}'.format(_SHOWN), y=0.02, fontsize=8)
    figure.tight_layout(rect=(0, 0.03, 1, 0.92))
    figure.savefig(path, dpi=120)
