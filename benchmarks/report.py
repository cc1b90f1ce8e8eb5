"""The Markdown page of a benchmark's result."""
from benchmarks.clock import PHASES

_REFERENCES = ('SGD', 'Chainer SGD', 'PyTorch SGD')


def markdown(result: dict) -> str:
    """Tables of times, ratios, phases and memory."""
    parts = ['# LeNet5 training steps', _about(result)]
    for measured in result['steps']:
        parts += [_title(measured), _steps(measured), _phases(measured)]
    if result['memory']:
        parts += ['## Peak resident memory, MB', _memory(result['memory'])]
    if result['first']:
        parts += ['## First step of a process', _first(result['first'])]
    return '\n\n'.join(parts) + '\n'


def _about(result):
    versions = ', '.join('{} {}'.format(*item) for item in result['versions'].items())
    where = 'GPU 0, ' if result['device'] != '@numpy' else ''
    return (
        '{} ({}{processor}, {cores} cores). {}. float32, 28x28 images. Medians over rounds in '
        'which all rows take turns in one process; ratios are medians of the ratios within a '
        'round, with their quartiles.'.format(
            result['date'], where, versions, **result['machine']))


def _title(measured):
    threads = measured['threads']
    on = '' if threads is None else ', {} thread{}'.format(threads, 's' * (threads > 1))
    return '## Batch {}{} ({} rounds)'.format(measured['batch'], on, measured['rounds'])


def _steps(measured):
    rows = measured['rows']
    references = [name for name in _REFERENCES if name in rows[0]['ratio']]
    lines = [['step', 'ms', 'fastest', 'images/s', *('/ ' + name for name in references)]]
    for row in rows:
        lines.append([
            row['name'], _number(row['ms']), _number(row['fastest_ms']),
            '{:,.0f}'.format(1e3 * measured['batch'] / row['ms']),
            *(_ratio(row, name) for name in references)])
    return table(lines)


def _ratio(row, name):
    if row['name'] == name:
        return '1'
    return '{:.2f} ({:.2f}-{:.2f})'.format(row['ratio'][name], *row['spread'][name])


def _phases(measured):
    rows = [row for row in measured['rows'] if row['name'] != 'augmentation']
    phases = [p for p in PHASES if any(p in row['phases'] for row in rows)]
    return table([['ms of', *phases]] + [
        [row['name'], *(_number(row['phases'][p]) if p in row['phases'] else '' for p in phases)]
        for row in rows])


def _memory(memory):
    batches = list(dict.fromkeys(entry['batch'] for entry in memory))
    names = list(dict.fromkeys(entry['name'] for entry in memory if entry['mb']))
    found = {(entry['name'], entry['batch']): entry['mb'] for entry in memory if entry['mb']}
    return table([['step', *('batch {}'.format(batch) for batch in batches)]] + [
        [name, *('{:,.0f}'.format(found[name, batch]) if (name, batch) in found else ''
                 for batch in batches)] for name in names])


def _first(first):
    return ('{:.2f} s for imports, then {:.2f} s for the model, the compiled kernels from their '
            'cache and one SGD step.'.format(first['imports'], first['first_step']))


def _number(value):
    return '{:,.0f}'.format(value) if value >= 100 else '{:.1f}'.format(value)


def table(lines: list[list[str]]) -> str:
    """A Markdown table, the first line its head, numbers to the right."""
    rule = ['---'] + ['---:'] * (len(lines[0]) - 1)
    return '\n'.join('| {} |'.format(' | '.join(line)) for line in [lines[0], rule, *lines[1:]])
