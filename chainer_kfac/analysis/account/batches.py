"""The claim on large batches: they converge in fewer iterations and end worse, even when tuned."""
import itertools
import math
import statistics

from chainer_kfac.analysis import front_page, markdown, table1_text
from chainer_kfac.analysis.account import facts
from chainer_kfac.analysis.account.facts import BATCH_SIZES, OPTIMIZERS, Difference, Tally
from chainer_kfac.analysis.account.optimizers import VALIDATION

STEP = 0.05
"""Thresholds are multiples of this."""


def convergence(results) -> str:
    """Iterations and epochs until each batch size has reached what all of them reach."""
    lines, _ = compare_convergence(facts.cells(results))
    table = markdown.table(['Optimizer', 'Accuracy', 'Batch', 'Iterations to it', 'Epochs to it',
                            'Verdict'], lines, right=(1,))
    return '\n\n'.join([table, *front_page.figure(
        results, 'study', 'Accuracy against iterations, epochs and minutes', up='../')])


def compare_convergence(cells) -> tuple[list, list[str]]:
    """One line for each optimizer, and the verdicts."""
    lines, verdicts = [], []
    for optimizer in OPTIMIZERS:
        row = [cells[optimizer, batch_size, ''] for batch_size in BATCH_SIZES]
        row = [cell for cell in row if cell.runs]
        if len(row) < 2:
            lines.append([table1_text.NAMES[optimizer], *['–'] * 4])
            verdicts.append('missing')
        else:
            threshold = common_threshold(run.log for cell in row for run in cell.runs)
            iterations, epochs = ([_until(threshold, cell, key) for cell in row]
                                  for key in ('iteration', 'epoch'))
            lines.append([table1_text.NAMES[optimizer], '{:.2f}'.format(threshold),
                          ', '.join(str(cell.row['batch_size']) for cell in row),
                          ', '.join('{:.0f}'.format(statistics.fmean(seeds))
                                    for seeds in iterations),
                          ', '.join('{:.3g}'.format(statistics.fmean(seeds)) for seeds in epochs)])
            verdicts.append(_falls(iterations))
        lines[-1].append(verdicts[-1])
    return lines, verdicts


def final(results) -> str:
    """What is lost from batch 128 on, at the paper's values and at values of our own."""
    lines, verdicts = compare_final(facts.cells(results))
    table = markdown.table(['Difference of best accuracies', 'Paper', 'Ours', 'Seeds', 'Verdict'],
                           lines, right=(1, 2))
    return '\n\n'.join([
        'The paper: the larger batch ends worse. {}'.format(Tally.of(verdicts)), table,
        *front_page.figure(results, 'batch_size', 'Accuracy against batch size', up='../')])


def compare_final(cells) -> tuple[list, list[str]]:
    """The comparisons of `final` as lines of a table, and their verdicts."""
    lines, verdicts = [], []
    variants = sorted({variant for _, _, variant in cells}, key=lambda name: (name != '', name))
    for variant in variants:
        for optimizer in OPTIMIZERS:
            for batch_size in BATCH_SIZES[1:]:
                pair = [cells.get((optimizer, size, variant)) for size in (batch_size, 128)]
                if None in pair:
                    continue
                ours = Difference.of(*(cell.best for cell in pair))
                paper = '' if variant else '{:+.4f}'.format(
                    pair[0].row['paper'] - pair[1].row['paper'])
                verdict = facts.verdict(ours, -1.0)
                verdicts.append(verdict if variant else facts.marked(verdict, pair))
                lines.append(['{} − {}'.format(pair[0].name, pair[1].row['batch_size']), paper,
                              facts.show(ours), facts.show_seeds(ours), verdicts[-1]])
    return lines, verdicts


def common_threshold(logs) -> float:
    """The largest multiple of ``STEP`` that the validation accuracy of every log reaches."""
    lowest = min(max(entry[VALIDATION] for entry in log) for log in logs)
    return math.floor(lowest / STEP + 1e-9) * STEP


def _until(threshold, cell, key):
    """By seed: ``key`` of the log at the end of the first epoch that reaches it."""
    return [next(entry[key] for entry in run.log if entry[VALIDATION] >= threshold - 1e-9)
            for run in cell.runs]


def _falls(iterations):
    """The verdict on a row: it falls if each step does, and is as certain as the least of them."""
    steps = [facts.verdict(Difference.of(larger, smaller), -1.0)
             for smaller, larger in itertools.pairwise(iterations)]
    words, reasons = zip(*(step.partition(', ')[::2] for step in steps), strict=True)
    word = 'opposite' if 'opposite' in words else 'as the paper'
    return next(('{}, {}'.format(word, reason) for reason in reasons if reason), word)
