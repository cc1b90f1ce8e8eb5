"""What values of our own bring: the searches, the cells they gave, and K-FAC's averaging."""
from chainer_kfac.analysis import markdown, protocol, searches, table1_text
from chainer_kfac.analysis.account import facts
from chainer_kfac.analysis.account.facts import Cell, Difference

_SGD_128 = ('momentum_sgd', 128, '')


def cells_body(results) -> str:
    """Tuned K-FAC against SGD in sentences; then every cell with values other than the paper's.

    Of each of those it is said first what is not as in the paper's cell, and what of it a search
    has found.
    """
    cells = facts.cells(results)
    searched = {}
    for each in searches.find(results):
        key = each.settings['optimizer'], each.settings['batch_size']
        searched.setdefault(key, set()).update(*(trial['values'] for trial in each.trials))
    sentences = [_against_sgd(cells, batch_size) for batch_size in (2048, 128)]
    ours = [cell for (_, _, variant), cell in cells.items() if variant and cell.runs]
    lines = []
    for cell in ours:
        batch_size, variant = cell.row['batch_size'], cell.row['variant']
        others = [cells.get((cell.row['optimizer'], batch_size, '')), cells[_SGD_128],
                  cells.get(('momentum_sgd', batch_size, variant))]
        lines.append([cell.name, table1_text.spread(cell.row['best']),
                      table1_text.spread(cell.row['last']), len(cell.runs), cell.row['select_on'],
                      *(_minus(cell, other) for other in others)])
    if not ours:
        return '\n\n'.join([*sentences, 'No cell with values of our own has been trained yet.'])
    table = markdown.table(
        ['Cell', 'Best epoch', 'Last epoch', 'Seeds', 'Chosen on', "Minus the paper's values",
         "Minus SGD 128, the paper's values", 'Minus SGD, same batch and variant'],
        lines, right=(1, 2, 3, 5, 6, 7))
    changes = [_change(cell, cells.get((*key, '')), searched.get(key))
               for cell in ours for key in [(cell.row['optimizer'], cell.row['batch_size'])]]
    return '\n\n'.join(['\n'.join(filter(None, changes)), *sentences, table])


def _change(cell, plain, searched):
    """What is not as in the paper's cell under the same profile; None if that has no run."""
    if plain is None or plain.config is None:
        return None
    changed = protocol.departures(cell.config, plain.config)
    said = '- {}: {}.'.format(cell.name, protocol.sentence([changed]))
    given = [field for field in changed if searched is not None and field not in searched]
    if given and len(given) == len(changed):
        said += (" That was set before the search, which found nothing better than the paper's "
                 'values: what the cell gains is no gain of searching.')
    elif given:
        said += ' Set before the search: {}.'.format(', '.join(given))
    ends = [_end_of_rate(each.runs[0].log) for each in (cell, plain)]
    if None not in ends and ends[0] != ends[1]:
        said += (' The learning rate ends at {:.3g} of its first value, and at {:.3g} with the '
                 "paper's values.".format(*ends))
    return said


def _end_of_rate(log):
    """The last learning rate as a share of the first."""
    return log[-1]['lr'] / log[0]['lr'] if 'lr' in log[0] else None


def _minus(cell, other):
    if other is None or other is cell:
        return '–'
    return facts.show(Difference.of(cell.best, other.best))


def _against_sgd(cells, batch_size):
    """Tuned K-FAC at a batch size against the two cells that it is measured by."""
    tuned = cells.get(('kfac', batch_size, 'tuned'))
    if tuned is None or not tuned.best:
        return 'Tuned K-FAC at {}: missing.'.format(batch_size)
    clauses = []
    for what, key in (("SGD at 128 with the paper's values", _SGD_128),
                      ('tuned SGD at {}'.format(batch_size), ('momentum_sgd', batch_size,
                                                              'tuned'))):
        other = cells.get(key)
        difference = Difference.of(tuned.best, other.best if other else [])
        clauses.append('{}: missing'.format(what) if difference is None else '{} {}: {}{}'.format(
            what, _reached(other), difference, _weight(difference)))
    return 'Tuned K-FAC at {} reaches {}. Minus {}.'.format(
        batch_size, _reached(tuned), '; minus '.join(clauses))


def _weight(difference):
    if difference.error is None:
        return ' (no claim: {})'.format(facts.thin(difference))
    return '' if difference.decided else ' (no claim: within the spread of the seeds)'


def _reached(cell):
    """'0.7610 ± 0.0014 (2 seeds, epoch chosen on test)'."""
    return '{} ({} seed{}, epoch chosen on {})'.format(
        table1_text.spread(cell.row['best']), len(cell.runs), 's' * (len(cell.runs) > 1),
        cell.row['select_on'])


def searches_body(results) -> str:
    """One line for each search: its budget, the images that chose, and what it found."""
    found = searches.find(results)
    if not found:
        return 'No search has been promoted yet.'
    links = ', '.join('[{0}](../{1}/search/{0}/report.html)'.format(each.name, results.name)
                      for each in found)
    return '\n\n'.join([searches.table(found), 'All trials: {}.'.format(links)])


def readings(results) -> str:
    """K-FAC with both readings of ``cov_ema_decay``, all else equal."""
    lines = []
    for new, old in pairs(results):
        found = Difference.of(old.best, new.best)
        lines.append([new.row['batch_size'], '{:.6g}'.format(new.config['cov_ema_decay']),
                      *(table1_text.spread(cell.row[which]) for which in ('best', 'last')
                        for cell in (new, old)),
                      '{}{}'.format(found, _weight(found)), facts.show_seeds(found)])
    if not lines:
        return 'K-FAC has not been trained with both readings, all else equal, yet.'
    return markdown.table(
        ['Batch', 'cov_ema_decay', 'Best epoch, weighs new', 'Best epoch, weighs old',
         'Last epoch, weighs new', 'Last epoch, weighs old', 'Best: old − new', 'Seeds'],
        lines, right=range(7))


def pairs(results) -> list[tuple[Cell, Cell]]:
    """Cells of K-FAC that differ in ``ema_weighs`` alone, (new, old), by batch size."""
    cells = [cell for cell in facts.cells(results).values()
             if cell.config is not None and cell.row['optimizer'] == 'kfac']
    return [(new, old) for new in cells for old in cells
            if (new.config['ema_weighs'], old.config['ema_weighs']) == ('new', 'old')
            and _without(new.config) == _without(old.config)]


def _without(config):
    return {key: value for key, value in config.items()
            if key != 'ema_weighs' and key not in protocol.NEUTRAL}
