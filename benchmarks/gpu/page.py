"""The report as Markdown."""
from benchmarks.clock import PHASES
from benchmarks.gpu.targets import targets
from benchmarks.report import table


def markdown(report: dict) -> str:
    """Targets, what was done, and a section for each step that found something."""
    parts = ['# GPU check: {}'.format(report['card']['name']), _about(report)]
    if report['dry_run']:
        parts.append('**A dry run: NumPy stood in for the card, on tiny problems. No number on '
                     'this page says anything about a card.**')
    else:
        parts += ['## Targets', _targets(report)]
    parts += ['## Steps', _steps(report)]
    for entry in report['steps']:
        section = SECTIONS.get(entry['name'].partition('-')[0])
        if entry.get('data') and section:
            parts += ['## {}'.format(_capital(entry['title'])), section(entry['data'])]
        if entry.get('tail'):
            parts += ['## {}: the end of its log'.format(_capital(entry['title'])),
                      '```\n{}\n```'.format('\n'.join(entry['tail']))]
    return '\n\n'.join(parts) + '\n'


def _about(report):
    card, versions = report['card'], report['versions']
    facts = ', '.join('{} {}'.format(*item) for item in versions.items())
    if 'capability' in card:
        facts = 'Capability {capability}, {memory_mb:,.0f} MB, driver for CUDA {driver_cuda}, ' \
            'CUDA {runtime_cuda}, CuPy {cupy}; '.format(**card) + facts
    return '{}. Source {}.'.format(facts, report['code'])


def _targets(report):
    lines = [['target', 'wanted', 'found', 'met']]
    for what, wanted, found, met in targets(report):
        lines.append([what, wanted, 'not measured' if found is None else _number(found),
                      {None: '', True: 'yes', False: '**no**'}[met]])
    return table(lines)


def _steps(report):
    lines = [['step', 'state', 'seconds', 'date']]
    for entry in report['steps']:
        why = ': ' + entry['why'] if 'why' in entry else ''
        lines.append(['`{}`, {}'.format(entry['name'], entry['title']), entry['state'] + why,
                      _number(entry['seconds']) if 'seconds' in entry else '',
                      entry.get('date', '')])
    return table(lines)


def _doctor(data):
    return table([['topic', 'state', 'finding']] + [
        [each['topic'], each['state'], each['text'].replace('|', '/')]
        for each in data['findings']])


def _tests(data):
    text = '{passed} passed, {failed} failed, {skipped} skipped.'.format(**data)
    if data['failures']:
        text += '\n\n' + table([['test', 'error']] + [
            ['`{test}`'.format(**each), each['message'].replace('|', '/')]
            for each in data['failures']])
    return text


def _times(data):
    rows = data['rows']
    lines = [['step', 'ms', 'in a row, ms', 'images/s', 'by SGD', 'by PyTorch SGD']]
    for row in rows:
        pace = row.get('in_a_row_ms') or row['ms']
        lines.append([row['name'], _number(row['ms']), _number(row.get('in_a_row_ms')),
                      '{:,.0f}'.format(1e3 * data['batch'] / pace),
                      *(_number(row['ratio'].get(other)) for other in ('SGD', 'PyTorch SGD'))])
    trained = [row for row in rows if row['name'] != 'augmentation']
    phases = [phase for phase in PHASES if any(phase in row['phases'] for row in trained)]
    return '\n\n'.join([
        'Batch {batch}, medians of {rounds} rounds. A step alone begins with an idle card; steps '
        'in a row are queued as in training.'.format(**data), table(lines),
        table([['ms of', *phases]] + [
            [row['name'], *(_number(row['phases'].get(phase)) for phase in phases)]
            for row in trained])])


def _waits(data):
    lines = [['step', 'waits', 'where']]
    for row in data['rows']:
        lines.append([row['name'], _number(row['waits']), ', '.join(
            '`{}` ({:g})'.format(*item) for item in row['places'].items())])
    return 'Batch {}.\n\n{}'.format(data['batch'], table(lines))


def _memory(data):
    lines = [['step', 'fits', 'MB taken']] + [
        [row['name'], 'yes' if row['fits'] else '**no**', _number(row['peak_mb'])]
        for row in data['rows']]
    return 'Batch {}, pool held below {:,.0f} MB; {:,.0f} MB estimated for K-FAC.\n\n{}'.format(
        data['batch'], data['limit_mb'], data['estimate_mb'], table(lines))


def _inverses(data):
    return 'Reference: {}.\n\n{}'.format(data['reference'], table(
        [['width', 'number', 'ms', 'reference, ms', 'share of its rate', 'GFLOP/s', 'error']] + [
            [str(row['n']), str(row['count']), _number(row['ms']), _number(row['reference_ms']),
             _number(row['share']), _number(row['gflops']), '{:.1g}'.format(row['error'])]
            for row in data['rows']]))


def _ranks(data):
    return table([['optimizer', 'largest difference of a weight, by the largest move']] + [
        [name, '{:.1g}'.format(value)] for name, value in data['optimizers'].items()])


def _nccl(data):
    return 'Largest difference of a weight: {:.1g}.'.format(data['difference'])


def _data(data):
    return '{}, {:,} bytes in the cache.'.format(data['label'], data['bytes'])


def _epochs(data):
    return table([['optimizer', 'batch', 'seconds an epoch', 'first epoch', 'peak MB']] + [
        [row['optimizer'], str(row['batch']), _number(row['seconds']),
         _number(row['first_seconds']), _number(row['peak_memory_mb'])] for row in data['rows']])


def _paper(data):
    return table([['cell', 'best validation accuracy']] + [
        [name, 'not finished' if value is None else '{:.4f}'.format(value)]
        for name, value in data['cells'].items()]) if data['cells'] else 'Nothing of the paper.'


def _number(value):
    if value is None:
        return ''
    if value >= 100:
        return '{:,.0f}'.format(value)
    return '{:.1f}'.format(value) if value >= 10 else '{:.3g}'.format(value)


def _capital(title):
    return title[0].upper() + title[1:]


SECTIONS = {'doctor': _doctor, 'tests': _tests, 'times': _times, 'waits': _waits,
            'memory': _memory, 'inverses': _inverses, 'ranks': _ranks, 'nccl': _nccl,
            'data': _data, 'epochs': _epochs, 'paper': _paper}
