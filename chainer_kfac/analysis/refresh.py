"""Everything that is made from the committed results: tables, figures, and parts of pages."""
import logging
import pathlib

from chainer_kfac.analysis import figures, pages, runs, study, table1
from chainer_kfac.exceptions import MissingDependency, RunDirectoryError

logger = logging.getLogger(__name__)


def refresh(results) -> list[str]:
    """Make it anew; returns the names of the pages that have changed.

    Without matplotlib the figures stay as they are, with a warning.

    Args:
        results (path): root of the committed results.
    """
    results = pathlib.Path(results)
    for place in _places(results):
        table1.write(results.joinpath(table1.EXPERIMENT, *place))
        for hparams in figures.hparams(results, *place):
            study.write(results, *place, hparams)
            _draw(results, *place, hparams)
    return pages.update(results)


def _places(results):
    try:
        return runs.places(results, study.EXPERIMENTS)
    except RunDirectoryError:  # nothing has been promoted that tables and figures show
        return []


def _draw(results, profile, dataset, hparams):
    try:
        figures.write(results, profile, dataset, hparams)
    except MissingDependency as error:
        logger.warning('the figures are as they were: %s', error)
