"""What values of our own bring: the searches, the cells they gave, and K-FAC's averaging."""
from chainer_kfac.analysis import markdown, protocol, searches, table1_text
from chainer_kfac.analysis.account import facts
from chainer_kfac.analysis.account.facts import Cell, Difference

_SGD_128 = ('momentum_sgd', 128, '')


def cells_body(results) -> str:
    """Tuned K-FAC against SGD in sentences; then every cell with values other than the paper's."""
    cells = facts.cells(results)
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
    return '\n\n'.join([*sentences, table])


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
        return ' (no claim: one seed)'
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
        lines.append([new.row['batch_size'], '{:.6g}'.format(new.config['cov_ema_decay']),
                      *(table1_text.spread(cell.row[which]) for which in ('best', 'last')
                        for cell in (new, old)),
                      facts.show(Difference.of(old.best, new.best)),
                      facts.show_seeds(Difference.of(old.best, new.best))])
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
