"""The figures of Experiment 2 as files, drawn from run directories alone.

They lie in ``ROOT/figures/<profile>/<dataset>/``, each as PDF, SVG and PNG.  Nothing in them
depends on the time or the place of drawing: the same runs and the same matplotlib give the same
bytes.
"""
import pathlib

from chainer_kfac.analysis import captions, drawing, figure2, files, runs, study, study_figures
from chainer_kfac.analysis.study import Study
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.sweeps import plan

FIGURES = {'figure2': figure2.figure, 'study': study_figures.courses,
           'batch_size': study_figures.ends}


def write(root, profile, dataset, hparams=plan.PAPER) -> tuple[Study, list[pathlib.Path]]:
    """Draw the figures of one profile and data set.

    Args:
        root (path): root of all runs.
        profile (str), dataset (str): which of them.
        hparams (str): file of cells that go before the paper's; its name is part of the files'.
    Returns:
        (Study, list of path): what was drawn, and the files.
    Raises:
        MissingDependency: if matplotlib is not installed.
    """
    found = study.collect(root, profile, dataset, hparams)
    contents = {}
    with drawing.style():
        for name, draw in FIGURES.items():
            stem = study.suffixed(name, found.hparams)
            contents.update({stem + suffix: content
                             for suffix, content in drawing.render(draw(found)).items()})
    return found, files.write(folder(root, profile, dataset), contents)


def folder(root, profile, dataset) -> pathlib.Path:
    """Where the figures of a profile and a data set lie."""
    return pathlib.Path(root, 'figures', profile, dataset)


def hparams(root, profile, dataset) -> list[str]:
    """The files of cells in ``experiments/`` whose runs are there, the paper's first.

    The paper's own is among them in any case.
    """
    variants = {run.config.get('variant') for experiment in study.EXPERIMENTS
                for run in runs.find(pathlib.Path(root, experiment, profile, dataset))}
    return [plan.PAPER, *sorted(variant for variant in variants if variant and _is_file(variant))]


def report(found: Study) -> list[str]:
    """Sentences that name every run that is missing or not finished."""
    return captions.missing(found.series) + captions.amiss(found.series, 'drawn as far as they go')


def _is_file(variant):
    try:
        plan.cells_file(variant)
    except ConfigError:
        return False
    return True
