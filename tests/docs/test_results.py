"""Every number that README.md and docs/reproduction.md show is worked out again from results/.

First by the package, part for part; then by this file alone, from the files of the runs, so that a
mistake in the package's arithmetic shows too.
"""
import json
import math
import pathlib
import re
import statistics

import pytest
import yaml

from chainer_kfac.analysis import front_page, pages

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'results'
README, ACCOUNT = 'README.md', 'docs/reproduction.md'
NAMES = {'Momentum SGD': 'momentum_sgd', 'Adam': 'adam', 'K-FAC': 'kfac'}
VALIDATION = 'validation/main/accuracy'


def read(page):
    return (ROOT / page).read_text(encoding='utf-8')


def part(name, page=ACCOUNT, text=None):
    begin, end = pages.marks(name)
    return (text or read(page)).partition(begin)[2].partition(end)[0]


@pytest.mark.parametrize('page', pages.PARTS)
def test_pages_say_what_the_results_say(page):
    text = read(page)
    for name in pages.PARTS[page]:
        assert [text.count(mark) for mark in pages.marks(name)] == [1, 1], name
    assert pages.written(page, text, RESULTS) == text, (
        '{} differs from results/: chainer-kfac promote writes it'.format(page))


@pytest.mark.parametrize('page', pages.PARTS)
def test_no_accuracy_stands_outside_the_parts(page):
    text = read(page)
    for name in pages.PARTS[page]:
        text = text.replace(part(name, page), '')
    assert not re.findall(r'\b0\.\d{4,}', text)
    assert not re.findall(r'\b0\.[3-9]\d{2}', text)


def test_every_decimal_of_the_parts_is_worked_out_again_here():
    """A last digit that is other than it should be is noticed by `check`, wherever it stands."""
    for page, name in [(README, 'results')] + [(ACCOUNT, name) for name in CHECKS]:
        check = CHECKS.get(name, check_table)
        text = re.sub(r'^Not the protocol of the paper.*', '', part(name, page), flags=re.MULTILINE)
        check(text)
        for number in re.finditer(r'\d\.\d{4}(?= |$|,|:)', text):
            digit = str((int(number[0][-1]) + 1) % 10)
            broken = text[:number.end() - 1] + digit + text[number.end():]
            with pytest.raises(AssertionError):
                check(broken)


# The runs, read by nobody's code but this


def load_runs():
    folder = front_page.folder(RESULTS)
    found = {}
    for path in sorted(folder.glob('*/*/result.json')) if folder else ():
        config = yaml.safe_load((path.parent / 'config.yaml').read_text())
        key = config['optimizer'], config['batch_size'], config['variant']
        found.setdefault(key, []).append((config, json.loads(path.read_text()),
                                          json.loads((path.parent / 'log').read_text())))
    return found


RUNS = load_runs()
PAPER = {(cell['optimizer'], cell['batch_size'], ''): cell['val_acc'] for cell in yaml.safe_load(
    (ROOT / 'experiments/table1.yaml').read_text())['cells']}


def key(name):
    """'K-FAC 2048 (tuned)' -> ('kfac', 2048, 'tuned')."""
    optimizer, size, variant = re.fullmatch(r'(.+?) (\d+)(?: \((.+)\))?', name).groups()
    return NAMES[optimizer], int(size), variant or ''


def best(cell):
    return [result['test_acc'] if config['select_on'] == 'holdout' else result['best_val_acc']
            for config, result, _ in RUNS.get(cell, [])]


def last(cell):
    return [result['last_val_acc'] for _, result, _ in RUNS.get(cell, [])]


def gaps(cell):
    return [log[-1]['main/accuracy'] - log[-1][VALIDATION] for _, _, log in RUNS.get(cell, [])]


def gaps_at_equal_training(cells):
    """Of both cells, by seed, where the seed that trained least far has ended."""
    logs = [[[(entry['main/accuracy'], entry[VALIDATION]) for entry in log]
             for _, _, log in RUNS.get(cell, [])] for cell in cells]
    if not all(logs):
        return [], []
    end = min(log[-1][0] for each in logs for log in each)

    def at_end(log):
        i = next((i for i, (train, _) in enumerate(log) if train >= end), len(log) - 1)
        if i == 0 or log[i][0] < end:
            return log[i][0] - log[i][1]
        (x0, y0), (x1, y1) = log[i - 1], log[i]
        return end - (y0 + (y1 - y0) * (end - x0) / (x1 - x0))
    return [[at_end(log) for log in each] for each in logs]


def shown(values):
    if not values:
        return '–'
    text = '{:.4f}'.format(sum(values) / len(values))
    return text if len(values) == 1 else '{} ± {:.4f}'.format(text, statistics.stdev(values))


def minus(first, second):
    if not first or not second:
        return '–'
    text = '{:+.4f}'.format(sum(first) / len(first) - sum(second) / len(second))
    if min(len(first), len(second)) == 1:
        return text
    return '{} ± {:.4f}'.format(text, math.sqrt(sum(
        statistics.stdev(values) ** 2 / len(values) for values in (first, second))))


def tables(text):
    """All rows of all tables in a text, as dictionaries by the header."""
    for block in re.findall(r'(?:^\|.*\n)+', text, re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]]
                            for line in block.splitlines()]
        for row in rows:
            yield dict(zip(header, row, strict=True))


def check_table(text):
    """The table of the front page."""
    for row in tables(text):
        optimizer, _, variant = row['Optimizer'].partition(' (')
        cell = NAMES[optimizer], int(row['Batch']), variant.rstrip(')')
        assert row['Ours, best epoch'] == shown(best(cell))
        assert row['Seeds'] == str(len(best(cell)))
        paper = PAPER.get((*cell[:2], ''))
        assert row['Paper'] == ('–' if paper is None else '{:.4f}'.format(paper))
        if paper is not None and best(cell):
            assert row['Difference'] == '{:+.4f}'.format(statistics.mean(best(cell)) - paper)


def check_evidence(text):
    rows = list(tables(text))
    assert {key(row['Cell']) for row in rows} == set(RUNS)
    for row in rows:
        cell = key(row['Cell'])
        for column, values in (('Best epoch, by seed', best(cell)),
                               ('Last epoch, by seed', last(cell))):
            assert row[column] == ', '.join(map('{:.4f}'.format, values))
        assert row['Data'] == 'CIFAR-10 (JPEG q75)'
    spreads = [statistics.stdev(best(cell)) for cell in RUNS if len(best(cell)) > 1]
    if spreads:
        assert 'seeds is {:.4f} ('.format(max(spreads)) in text


def check_order(text):
    for row in tables(text):
        cells = [(NAMES[name], int(row['Batch']), '')
                 for name in row['Difference of best accuracies'].split(' − ')]
        assert row['Paper'] == '{:+.4f}'.format(PAPER[cells[0]] - PAPER[cells[1]])
        assert row['Ours'] == minus(*map(best, cells))
        check_verdict(row, PAPER[cells[0]] - PAPER[cells[1]], cells)
    check_tally(text)


def check_final(text):
    for row in tables(text):
        name, _, size = row['Difference of best accuracies'].partition(' − ')
        cells = key(name), (key(name)[0], int(size), key(name)[2])
        if not cells[0][2]:
            assert row['Paper'] == '{:+.4f}'.format(PAPER[cells[0]] - PAPER[cells[1]])
        assert row['Ours'] == minus(*map(best, cells))
        check_verdict(row, -1, cells)
    check_tally(text)


def check_overfitting(text):
    for row in tables(text):
        if 'Cell' not in row:
            cells = [(NAMES[name], int(row['Batch']), '')
                     for name in row['Difference of gaps'].split(' − ')]
            assert row['Last epoch'] == minus(*map(gaps, cells))
            equal = minus(*gaps_at_equal_training(cells))
            assert row['At equal training accuracy'] == equal
            if row['Last epoch'][0] == equal[0]:
                check_verdict({'Ours': row['Last epoch'], **row}, 1)
            else:
                assert row['Verdict'] == 'undecided: the reverse at equal training accuracy'
            continue
        logs = [log for _, _, log in RUNS[key(row['Cell'])]]
        losses = [[entry['validation/main/loss'] for entry in log] for log in logs]
        for column, values, form in (
                ('Training accuracy, last epoch', [log[-1]['main/accuracy'] for log in logs], ''),
                ('Validation accuracy, last epoch', [log[-1][VALIDATION] for log in logs], ''),
                ('Gap', gaps(key(row['Cell'])), '+'),
                ('Best − last epoch', [max(entry[VALIDATION] for entry in log) - log[-1][VALIDATION]
                                       for log in logs], '+'),
                ('Validation loss, lowest', list(map(min, losses)), ''),
                ('Validation loss, last epoch', [loss[-1] for loss in losses], '')):
            assert row[column] == format(statistics.fmean(values), form + '.4f'), column
    check_tally(text)


def check_convergence(text):
    for row in tables(text):
        cells = [cell for size in (128, 512, 2048)
                 if (cell := (NAMES[row['Optimizer']], size, '')) in RUNS]
        if len(cells) < 2:
            assert row['Verdict'] == 'missing'
            continue
        logs = {cell: [log for _, _, log in RUNS[cell]] for cell in cells}
        reached = min(max(entry[VALIDATION] for entry in log)
                      for some in logs.values() for log in some)
        threshold = max(n for n in range(21) if n * 0.05 <= reached + 1e-9) * 0.05
        assert row['Accuracy'] == '{:.2f}'.format(threshold)
        for column, name, form in (('Iterations to it', 'iteration', '.0f'),
                                   ('Epochs to it', 'epoch', '.3g')):
            means = [statistics.fmean(next(entry[name] for entry in log
                                           if entry[VALIDATION] >= threshold - 1e-9)
                                      for log in logs[cell]) for cell in cells]
            assert row[column] == ', '.join(format(mean, form) for mean in means)


def check_changes(text):
    """What sets a cell apart from the paper's, and where its learning rate ends."""
    lines = dict(re.findall(r'^- (.+?): (.*)$', text, re.MULTILINE))
    assert {key(name) for name in lines} == {cell for cell in RUNS if cell[2]}
    for name, line in lines.items():
        pair = [RUNS[cell][0] for cell in (key(name), (*key(name)[:2], ''))]
        ours, papers = (config for config, _, _ in pair)
        for field, *values in re.findall(r'(\w+) (\S+) instead of ([^\s,]+?)[.,](?: |$)', line):
            for value, config in zip(values, (ours, papers), strict=True):
                assert value in (str(config[field]), '{:.6g}'.format(config[field]) if isinstance(
                    config[field], float) else '')
        ends = [log[-1]['lr'] / log[0]['lr'] for _, _, log in pair]
        found = re.findall(r'ends at (\S+) of its first value, and at (\S+) with', line)
        assert found == ([tuple(map('{:.3g}'.format, ends))] if ends[0] != ends[1] else [])
        search, = [path.parent for path in (RESULTS / 'search').glob('*/experiment.json')
                   if path.parent.name.startswith('{}-bs{}-'.format(*key(name)))] or [None]
        first = search and json.loads((search / 'trials.jsonl').read_text().splitlines()[0])
        assert ('no gain of searching' in line) == bool(key(name)[2] == 'tuned' and all(
            ours[field] == value == papers[field] for field, value in first['values'].items()))


def check_tuned(text):
    check_changes(text)
    for row in tables(text):
        cell = key(row['Cell'])
        assert row['Best epoch'] == shown(best(cell))
        assert row['Last epoch'] == shown(last(cell))
        for column, other in (("Minus the paper's values", (*cell[:2], '')),
                              ("Minus SGD 128, the paper's values", ('momentum_sgd', 128, '')),
                              ('Minus SGD, same batch and variant', ('momentum_sgd', *cell[1:]))):
            assert row[column] == ('–' if other == cell else minus(best(cell), best(other)))
    for size in (2048, 128):
        sentence, = re.findall(r'^Tuned K-FAC at {}.*'.format(size), text, re.MULTILINE)
        tuned = best(('kfac', size, 'tuned'))
        assert ('reaches {} ('.format(shown(tuned)) in sentence) == bool(tuned)
        for other in (('momentum_sgd', 128, ''), ('momentum_sgd', size, 'tuned')):
            if tuned and best(other):
                assert re.search(r' {} \([^)]+\): {}[.; ]'.format(*map(re.escape, (
                    shown(best(other)), minus(tuned, best(other))))), sentence)


def check_searches(text):
    for row in tables(text):
        trials = [json.loads(line) for line in (
            RESULTS / 'search' / row['Search'] / 'trials.jsonl').read_text().splitlines()]
        losses = [trial['result']['loss'] for trial in trials if 'loss' in trial['result']]
        assert row['Trials'] == str(len(trials))
        assert row['Best accuracy there'] == '{:.4f}'.format(1 - min(losses))
        values, = [trial['values'] for trial in trials
                   if trial['result'].get('loss') == min(losses)][:1]
        assert row['Values'] == ', '.join('{} {:.6g}'.format(name.replace('_', ' '), value)
                                          for name, value in values.items())


def check_readings(text):
    for row in tables(text):
        new, old = ([cell for cell, runs in RUNS.items() if runs[0][0].get('ema_weighs') == reading
                     and cell[1] == int(row['Batch'])] for reading in ('new', 'old'))
        assert row['Best epoch, weighs new'] in map(shown, map(best, new))
        assert row['Best epoch, weighs old'] in map(shown, map(best, old))
        assert row['Last epoch, weighs new'] in map(shown, map(last, new))
        assert row['Last epoch, weighs old'] in map(shown, map(last, old))
        assert row['Best: old − new'].partition(' (')[0] in [
            minus(best(a), best(b)) for a in old for b in new]


def check_verdict(row, expected, cells=()):
    """The words follow from the numbers beside them, and from which cells are above the paper's."""
    ours, _, error = row['Ours'].partition(' ± ')
    if ours == '–':
        assert row['Verdict'] == 'missing'
        return
    assert row['Verdict'].startswith('as the paper' if float(ours) * expected > 0 else 'opposite')
    assert ('no claim: one seed' in row['Verdict']) == (not error)
    if error and abs(abs(float(ours)) - 3 * float(error)) > 5e-4:  # else rounding decides
        assert ('within the spread' in row['Verdict']) == (abs(float(ours)) < 3 * float(error))
    above = [cell for cell in cells if not cell[2] and statistics.fmean(best(cell)) > PAPER[cell]]
    assert ("above the paper's" in row['Verdict']) == bool(
        above and 'no claim' not in row['Verdict'])


def check_tally(text):
    verdicts = [row['Verdict'] for row in tables(text) if 'Verdict' in row]
    agree, oppose, undecided, missing, *findings, above = count(verdicts)
    if agree + oppose + undecided:
        assert ('Of {} comparisons {} point the way of the paper, {} the other way{} and {} are '
                'missing. Findings: {} the way of the paper, {} the other way{}.'.format(
                    len(verdicts), agree, oppose,
                    ', {} undecided'.format(undecided) if undecided else '', missing, *findings,
                    "; {} of them with a cell above the paper's".format(above) if above else '')
                ) in text


def count(verdicts):
    words = [verdict.partition(';')[0] for verdict in verdicts]
    return [*(sum(each.startswith(word) for each in words)
              for word in ('as the paper', 'opposite', 'undecided', 'missing')),
            words.count('as the paper'), words.count('opposite'),
            sum('; ' in verdict for verdict in verdicts)]


def check_claims(text):
    parts = ('order of optimizers', 'large batches, convergence', 'large batches, final accuracy',
             'overfitting')
    for row, name in zip(tables(text), parts, strict=True):
        verdicts = [each['Verdict'] for each in tables(part(name)) if 'Verdict' in each]
        assert [int(row[column]) for column in (
            'As the paper', 'Opposite', 'Undecided', 'Missing', 'Findings as the paper',
            'Findings opposite', "Of the findings, with a cell above the paper's")
        ] == count(verdicts)


CHECKS = {'claims': check_claims, 'evidence': check_evidence, 'order of optimizers': check_order,
          'large batches, convergence': check_convergence,
          'large batches, final accuracy': check_final, 'overfitting': check_overfitting,
          'tuned cells': check_tuned, 'searches': check_searches,
          'readings of cov_ema_decay': check_readings}


def test_every_part_with_numbers_has_a_check():
    assert {*CHECKS, 'missing'} == set(pages.PARTS[ACCOUNT])


def test_the_times_of_runs_that_the_readme_tells():
    seconds = {key: runs[0][1]['wall_time'] for key, runs in RUNS.items() if not key[2]}
    assert len(seconds) == 9
    minutes, = re.findall(r'Momentum SGD 128 alone took (\d+) minutes', read(README))
    assert int(minutes) == round(seconds['momentum_sgd', 128, ''] / 60)
    hours, = re.findall(r'the nine runs of seed 0 took (\d+\.\d) hours in all', read(README))
    assert hours == '{:.1f}'.format(sum(seconds.values()) / 3600)


def test_tuned_cells_are_those_that_the_searches_found():
    path = ROOT / 'experiments/tuned.yaml'
    cells = yaml.safe_load(path.read_text())['cells'] if path.exists() else []
    for cell in cells:
        found = []
        for about in RESULTS.glob('search/*/experiment.json'):
            settings = json.loads(about.read_text())['settings']
            if all(settings[name] == cell[name] for name in ('optimizer', 'batch_size')):
                trials = map(json.loads, (about.parent / 'trials.jsonl').read_text().splitlines())
                top = min((trial for trial in trials if 'loss' in trial['result']),
                          key=lambda trial: trial['result']['loss'])
                found.append(top['values'])
        assert any(values.items() <= cell.items() for values in found), cell
