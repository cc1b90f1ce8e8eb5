"""Two claims: SGD ends above Adam and Adam above K-FAC; and K-FAC overfits."""
from chainer_kfac.analysis import front_page, markdown, table1_text
from chainer_kfac.analysis.account import facts
from chainer_kfac.analysis.account.facts import BATCH_SIZES, OPTIMIZERS, Difference, Tally

_PAIRS = (('momentum_sgd', 'adam'), ('adam', 'kfac'), ('momentum_sgd', 'kfac'))
TRAIN, VALIDATION = 'main/accuracy', 'validation/main/accuracy'
LOSS = 'validation/main/loss'


def order(results) -> str:
    """Every pair of optimizers at every batch size of the paper, at the paper's values."""
    lines, verdicts = compare_order(facts.cells(results))
    table = markdown.table(['Batch', 'Difference of best accuracies', 'Paper', 'Ours', 'Seeds',
                            'Verdict'], lines, right=(0, 2, 3))
    return '\n\n'.join([str(Tally.of(verdicts)), table])


def compare_order(cells) -> tuple[list, list[str]]:
    """The comparisons of `order` as lines of a table, and their verdicts."""
    lines, verdicts = [], []
    for batch_size in BATCH_SIZES:
        for pair in _PAIRS:
            first, second = (cells[optimizer, batch_size, ''] for optimizer in pair)
            paper = first.row['paper'] - second.row['paper']
            ours = Difference.of(first.best, second.best)
            verdicts.append(facts.marked(facts.verdict(ours, paper), [first, second]))
            lines.append([batch_size, ' − '.join(table1_text.NAMES[name] for name in pair),
                          '{:+.4f}'.format(paper), facts.show(ours), facts.show_seeds(ours),
                          verdicts[-1]])
    return lines, verdicts


def overfitting(results) -> str:
    """How far training and validation part, and what is lost after the best epoch."""
    cells = facts.cells(results)
    lines = []
    for cell in cells.values():
        if cell.runs:
            lines.append([
                cell.name, *('{:.4f}'.format(cell.mean(measure)) for measure in (
                    _last(TRAIN), _last(VALIDATION))),
                *('{:+.4f}'.format(cell.mean(measure)) for measure in (gap, fall)),
                *('{:.4f}'.format(cell.mean(measure)) for measure in (_lowest, _last(LOSS))),
                len(cell.runs)])
    table = markdown.table(
        ['Cell', 'Training accuracy, last epoch', 'Validation accuracy, last epoch', 'Gap',
         'Best − last epoch', 'Validation loss, lowest', 'Validation loss, last epoch', 'Seeds'],
        lines, right=range(1, 8))
    compared, verdicts = compare_gaps(cells)
    gaps = markdown.table(
        ['Batch', 'Difference of gaps', 'Last epoch', 'At equal training accuracy', 'Seeds',
         'Verdict'], compared, right=(0, 2, 3))
    tally = 'K-FAC overfits more than another optimizer if its gap is the larger. {}'.format(
        Tally.of(verdicts))
    return '\n\n'.join([tally, gaps, *([table] if lines else []), *front_page.figure(
        results, 'figure2', front_page.CAPTION, up='../')])


def gap(log) -> float:
    """Training minus validation accuracy in the last epoch of a log."""
    return log[-1][TRAIN] - log[-1][VALIDATION]


def gap_at(log, accuracy) -> float:
    """Training minus validation accuracy where training first reaches ``accuracy``.

    On a straight line between epochs; that of the last epoch if it is never reached.
    """
    before = log[0]
    for entry in log:
        if entry[TRAIN] >= accuracy:
            rise = entry[TRAIN] - before[TRAIN]
            share = (accuracy - before[TRAIN]) / rise if rise > 0 else 1.0
            return (1 - share) * gap([before]) + share * gap([entry])
        before = entry
    return gap(log)


def fall(log) -> float:
    """Validation accuracy of the best epoch minus that of the last."""
    return max(entry[VALIDATION] for entry in log) - log[-1][VALIDATION]


def compare_gaps(cells) -> tuple[list, list[str]]:
    """K-FAC's gap minus that of the others as lines of a table, and the verdicts.

    An optimizer that has come farther has the larger gap for that alone.  So the gaps are also
    compared where the seed of lowest training accuracy has ended; where the two comparisons differ
    in sign it is undecided which overfits more.
    """
    lines, verdicts = [], []
    for batch_size in BATCH_SIZES:
        for other in OPTIMIZERS[:-1]:
            logs = [[run.log for run in cells[name, batch_size, ''].runs]
                    for name in ('kfac', other)]
            last = Difference.of(*([gap(log) for log in each] for each in logs))
            verdict, equal = facts.verdict(last, 1.0), None
            if last is not None:
                reached = min(log[-1][TRAIN] for each in logs for log in each)
                equal = Difference.of(*([gap_at(log, reached) for log in each] for each in logs))
                if last.value * equal.value < 0:
                    verdict = 'undecided: the reverse at equal training accuracy'
            verdicts.append(verdict)
            lines.append([batch_size, 'K-FAC − ' + table1_text.NAMES[other], facts.show(last),
                          facts.show(equal), facts.show_seeds(last), verdict])
    return lines, verdicts


def _last(key):
    return lambda log: log[-1][key]


def _lowest(log):
    return min(entry[LOSS] for entry in log)
