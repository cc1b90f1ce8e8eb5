"""What the account of the reproduction rests on: cells with their runs, and differences of them."""
import dataclasses
import math
import pathlib
import statistics

from chainer_kfac.analysis import front_page, runs, table1, table1_text

OPTIMIZERS = tuple(table1_text.NAMES)
BATCH_SIZES = (128, 512, 2048)
ENOUGH = 3.0
"""A difference is called from so many standard errors on."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell with its finished runs.

    Attributes:
        row (dict): its row of ``table1.json``.
        runs (list of Run): its finished runs, by seed; none if they were not trained alike.
    """

    row: dict
    runs: list

    @property
    def name(self) -> str:
        return table1_text.name(self.row)

    @property
    def config(self) -> dict | None:
        return self.runs[0].config if self.runs else None

    @property
    def best(self) -> list[float]:
        """The accuracy that stands beside the paper's, by seed."""
        return self.row['best']['values'] if self.row['best'] else []

    def mean(self, measure) -> float:
        """Mean over the seeds of ``measure(log)``."""
        return statistics.fmean(measure(run.log) for run in self.runs)


def cells(results) -> dict[tuple[str, int, str], Cell]:
    """The cells of the profile that stands for the results, by optimizer, batch size and variant.

    The nine cells of the paper are there whether they have runs or not.
    """
    folder = front_page.folder(results)
    if folder is None:  # a place without runs gives the nine rows, empty
        folder = pathlib.Path(results, table1.EXPERIMENT, 'short', 'cifar10')
    finished = {}
    for run in runs.find(folder):
        if run.state == 'finished':
            key = run.config['optimizer'], run.config['batch_size'], run.config['variant'] or ''
            finished.setdefault(key, []).append(run)
    found = {}
    for row in table1.build(folder)['rows']:
        key = row['optimizer'], row['batch_size'], row['variant']
        held = [run for run in finished.get(key, []) if run.config['seed'] in row['seeds']]
        found[key] = Cell(row, sorted(held, key=lambda run: run.config['seed']))
    return found


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of two means over seeds.

    Attributes:
        value (float): of the means.
        error (float or None): its standard error, sqrt(s1^2/n1 + s2^2/n2) with the sample standard
            deviations; None unless there are two seeds on both sides.
        seeds (pair of int): n1 and n2.
    """

    value: float
    error: float | None
    seeds: tuple[int, int]

    @classmethod
    def of(cls, first: list[float], second: list[float]) -> 'Difference | None':
        """first - second; None where one has no seed."""
        if not first or not second:
            return None
        error = None
        if min(len(first), len(second)) > 1:
            error = math.sqrt(statistics.variance(first) / len(first)
                              + statistics.variance(second) / len(second))
        return cls(statistics.fmean(first) - statistics.fmean(second), error,
                   (len(first), len(second)))

    @property
    def decided(self) -> bool:
        """Whether it is more than what seeds do, as far as that can be told."""
        return self.error is not None and abs(self.value) > ENOUGH * self.error

    def __str__(self):
        error = '' if self.error is None else ' ± {:.4f}'.format(self.error)
        return '{:+.4f}{}'.format(self.value, error)


def show(difference: Difference | None) -> str:
    """A difference in a cell of a table."""
    return '–' if difference is None else str(difference)


def show_seeds(difference: Difference | None) -> str:
    """The numbers of seeds on both sides."""
    return '–' if difference is None else '{} and {}'.format(*difference.seeds)


def verdict(difference: Difference | None, expected: float) -> str:
    """Whether a difference has the sign of ``expected``, and whether that can be said.

    'missing', 'as the paper' or 'opposite', the latter two followed by what keeps it from being a
    claim, if anything does. A verdict may also be 'undecided', with its reason (`Tally`).
    """
    if difference is None:
        return 'missing'
    word = 'as the paper' if difference.value * expected > 0 else 'opposite'
    if difference.error is None:
        return '{}, no claim: {}'.format(word, thin(difference))
    return word if difference.decided else word + ', no claim: within the spread of the seeds'


def thin(difference: Difference) -> str:
    """Of which side too few seeds are known to call a difference anything."""
    return 'one seed' if max(difference.seeds) == 1 else 'one seed on one side'


def marked(verdict: str, cells: list[Cell]) -> str:
    """The verdict on cells of the paper; a finding says which of them are above the paper's own.

    Fewer epochs and compressed images do not explain that, so something else is not as in the
    paper, and the order of such cells says nothing of the paper's.
    """
    names = [cell.name for cell in cells
             if cell.best and statistics.fmean(cell.best) > cell.row['paper']]
    is_finding = verdict in ('as the paper', 'opposite')
    if not names or not is_finding:
        return verdict
    return "{}; {} above the paper's".format(verdict, ' and '.join(names))


@dataclasses.dataclass(frozen=True)
class Tally:
    """What a list of verdicts comes to: numbers of comparisons.

    Attributes:
        agree, oppose, undecided, missing (int): of all.
        agree_decided, oppose_decided (int): of those that are more than what seeds do.
        above (int): of the latter, those with a cell above the paper's.
    """

    agree: int
    oppose: int
    undecided: int
    missing: int
    agree_decided: int
    oppose_decided: int
    above: int

    @classmethod
    def of(cls, verdicts: list[str]) -> 'Tally':
        found = [verdict.partition(';')[0] for verdict in verdicts]
        agree, oppose, undecided = (sum(each.startswith(word) for each in found) for word in (
            'as the paper', 'opposite', 'undecided'))
        return cls(agree, oppose, undecided, found.count('missing'), found.count('as the paper'),
                   found.count('opposite'), sum(';' in verdict for verdict in verdicts))

    def __str__(self):
        count = self.agree + self.oppose + self.undecided + self.missing
        if self.missing == count:
            return 'Nothing to compare yet: all {} comparisons are missing.'.format(count)
        undecided = ', {} undecided'.format(self.undecided) if self.undecided else ''
        above = "; {} of them with a cell above the paper's".format(self.above)
        return ('Of {} comparisons {} point the way of the paper, {} the other way{} and {} are '
                'missing. Findings: {} the way of the paper, {} the other way{}.'.format(
                    count, self.agree, self.oppose, undecided, self.missing, self.agree_decided,
                    self.oppose_decided, above if self.above else ''))
