"""The Markdown page of the scaling benchmark."""
from benchmarks.report import table

SHOWN = (1, 4, 16, 64, 256, 1024)


def markdown(result: dict) -> str:
    """What was measured, and what is predicted, each in tables."""
    parts = ['# Scaling', '{} ({processor}, {cores} cores). docs/scaling.md explains the tables.'
             .format(result['date'], **result['machine']),
             '## Measured here: LeNet5, batch {} of all ranks, one thread a rank'.format(
                 result['measured'][0]['batch']), _measured(result)]
    for kind, rates in result['rates'].items():
        parts += ['## Predicted: {}'.format(kind),
                  'Rates in GFLOP/s: gradient {gradient:,.1f}, product {product:,.1f}, inverse '
                  '{inverse:,.1f}.'.format(**{name: rate / 1e9 for name, rate in rates.items()})]
        for entries in _groups(result['predicted'], kind):
            parts += ['### {model}, {batch} images a rank, {network}'.format(**entries[0]),
                      _predicted(entries)]
    return '\n\n'.join(parts) + '\n'


def _measured(result):
    rows = [['ranks', 'step', 'ms', 'of one rank', 'MB a step']]
    alone = result['measured'][0]['steps']
    for entry in result['measured']:
        for name, found in entry['steps'].items():
            rows.append([str(entry['ranks']), name, '{:.0f}'.format(1e3 * found['seconds']),
                         '{:.2f}'.format(found['seconds'] / alone[name]['seconds']),
                         '{:.1f}'.format(found['bytes'] / 1e6)])
    return table(rows)


def _groups(predicted, kind):
    groups = {}
    for entry in predicted:
        if entry['rank'] == kind:
            groups.setdefault((entry['model'], entry['network']), []).append(entry)
    return groups.values()


def _predicted(entries):
    """Milliseconds of a step, and in parentheses the efficiency in percent."""
    rows = [['ms (efficiency, %) on', *('{:,}'.format(ranks) for ranks in SHOWN), 'MB a step']]
    for entry in entries:
        at = [entry['ranks'].index(ranks) for ranks in SHOWN]
        rows.append([entry['strategy'], *('{:.3g} ({:.0f})'.format(
            1e3 * entry['seconds'][i], 100 * entry['efficiency'][i]) for i in at),
            '{:.1f}'.format(entry['bytes'][-1] / 1e6)])
    return table(rows)
