"""The batch-size study: the runs of its cells, and its table, from run directories alone.

The study owns the runs of the cells between those of Table 1; at the batch sizes of Table 1 it
reads the runs of that experiment.  ``write`` stores, in the folder of the study's runs,
``study.json`` and ``study.md`` (one row a cell) and ``study.csv`` (one line an epoch of each run).
The same runs give the same bytes.
"""
import dataclasses
import pathlib

from chainer_kfac.analysis import curves, files, rows, runs, study_text, table1_text
from chainer_kfac.analysis.curves import Curve
from chainer_kfac.analysis.runs import Run
from chainer_kfac.sweeps import plan, profiles
from chainer_kfac.sweeps import study as cells_of_study
from chainer_kfac.sweeps.cells import Cell

FORMAT = 1
EXPERIMENTS = (cells_of_study.EXPERIMENT, plan.PAPER)
RENDERERS = {'.md': study_text.to_markdown, '.json': table1_text.to_json}


@dataclasses.dataclass(frozen=True)
class Series:
    """One cell of the study with its runs.

    Attributes:
        cell (Cell): the cell.
        runs (list of Run): its runs in any state, by seed.
        row (dict): its row of the table; docs/run-directory.md lists the keys.
    """

    cell: Cell
    runs: list[Run]
    row: dict

    @property
    def curves(self) -> list[Curve]:
        return curves.of(self.runs)


@dataclasses.dataclass(frozen=True)
class Study:
    """All cells of a study under one profile on one data set.

    Attributes:
        hparams (str): name of the file whose cells go before the paper's.
        series (list of Series): optimizer by optimizer, batch sizes ascending.
        table (dict): the content of ``study.json``.
    """

    hparams: str
    series: list[Series]
    table: dict

    def of(self, optimizer=None, batch_size=None) -> list[Series]:
        """The series of one optimizer, of one batch size, or of both."""
        return [each for each in self.series if optimizer in (None, each.cell.optimizer)
                and batch_size in (None, each.cell.batch_size)]

    @property
    def optimizers(self) -> list[str]:
        return list(dict.fromkeys(each.cell.optimizer for each in self.series))

    @property
    def batch_sizes(self) -> list[int]:
        return list(dict.fromkeys(each.cell.batch_size for each in self.series))


def collect(root, profile, dataset, hparams=plan.PAPER) -> Study:
    """Read the runs of the study.

    Args:
        root (path): root of all runs.
        profile (str), dataset (str): which of them.
        hparams (str): file of cells that go before the paper's.
    Returns:
        Study: every cell is there, whether it was run or not.
    Raises:
        ConfigError: if ``hparams`` cannot be read.
        RunDirectoryError: if a file of a run is damaged.
    """
    found = {}
    for experiment in EXPERIMENTS:
        for run in runs.find(pathlib.Path(root, experiment, profile, dataset)):
            found.setdefault((experiment, *_key(run.config)), []).append(run)
    cells = cells_of_study.load(hparams)
    references = plan.runs(cells, plan.all_profiles()['paper'], profiles.DATASET)
    papers = {(cell.optimizer, cell.batch_size): cell.val_acc for cell, _ in plan.paper()}
    series = []
    for cell, reference in zip(cells, references, strict=True):
        of_cell = found.get((cell.settings['experiment'], *_key(cell.settings)), [])
        of_cell.sort(key=lambda run: run.config['seed'])
        beside = {'val_acc': papers.get((cell.optimizer, cell.batch_size)),
                  'config': dataclasses.asdict(reference)}
        series.append(Series(cell, of_cell, _row(cell, of_cell, beside)))
    name = plan.cells_file(hparams).stem
    every = [run for each in series for run in each.runs]
    table = {'format': FORMAT, 'hparams': name,
             'profile': rows.common([run.config['profile'] for run in every]),
             'dataset': rows.common([run.config['dataset'] for run in every]),
             'missing': [table1_text.name(each.row) for each in series
                         if each.row['status'] == 'missing'],
             'rows': [each.row for each in series]}
    return Study(name, series, table)


def write(root, profile, dataset, hparams=plan.PAPER) -> tuple[Study, list[pathlib.Path]]:
    """Read the study and write its tables; returns it and the files."""
    study = collect(root, profile, dataset, hparams)
    stem = suffixed('study', study.hparams)
    contents = {stem + suffix: render(study.table) for suffix, render in RENDERERS.items()}
    contents[stem + '.csv'] = study_text.to_csv(study.series)
    return study, files.write(
        pathlib.Path(root, cells_of_study.EXPERIMENT, profile, dataset), contents)


def suffixed(name, hparams) -> str:
    """The name of a file about a set of cells: ``study`` for the paper's, ``study-tuned``."""
    return name if hparams == plan.PAPER else '{}-{}'.format(name, hparams)


def _key(fields):
    return fields['optimizer'], fields['batch_size'], fields.get('variant') or ''


def _row(cell, of_cell, beside):
    """The row of Table 1, and beside it what the study adds."""
    row = rows.row(*_key(cell.settings), of_cell, beside)
    finished = [run for run in of_cell if run.config['seed'] in row['seeds']]
    train = [run.log[-1][curves.ACCURACIES['train']] for run in finished]
    last = row['last']['values'] if row['last'] else []
    return {**row,
            'between': list(cell.between) if cell.between else None,
            'train': rows.spread(train),
            'gap': rows.spread([t - v for t, v in zip(train, last, strict=True)]),
            'iterations': rows.common([run.log[-1]['iteration'] for run in finished]),
            'wall_time': rows.spread([run.log[-1]['elapsed_time'] for run in finished]),
            'median_epoch': rows.spread([curves.median_epoch(run) for run in finished])}
