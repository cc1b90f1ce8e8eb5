"""All claims at a glance."""
from chainer_kfac.analysis import markdown
from chainer_kfac.analysis.account import batches, facts, optimizers

_CLAIMS = {
    '1. SGD ends above Adam, Adam above K-FAC': optimizers.compare_order,
    '2a. Larger batches need fewer iterations': batches.compare_convergence,
    '2b. Larger batches end worse, even when tuned': batches.compare_final,
    '3. K-FAC overfits more than the others': optimizers.compare_gaps,
}


def body(results) -> str:
    """How many comparisons of each claim point which way, and how many are findings."""
    cells = facts.cells(results)
    lines = []
    for claim, compare in _CLAIMS.items():
        tally = facts.Tally.of(compare(cells)[1])
        lines.append([claim, tally.agree, tally.oppose, tally.undecided, tally.missing,
                      tally.agree_decided, tally.oppose_decided, tally.above])
    return markdown.table(
        ['Claim', 'As the paper', 'Opposite', 'Undecided', 'Missing', 'Findings as the paper',
         'Findings opposite', "Of the findings, with a cell above the paper's"],
        lines, right=range(1, 8))
