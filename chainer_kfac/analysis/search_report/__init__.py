"""The report of a search: one HTML page that needs nothing but a browser."""
import html
import os
import pathlib
import tempfile

from chainer_kfac.analysis.search_report import (
    history,
    importance,
    parallel,
    parameters,
    table,
    timeline,
)
from chainer_kfac.datasets.cifar10 import LABELS
from chainer_kfac.search import results
from chainer_kfac.search.found import Found

__all__ = ['page', 'write']

_FOLDER = pathlib.Path(__file__).parent

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{summary}
{sections}
</main>
<div id="tip" hidden></div>
<script>
{script}
</script>
</body>
</html>
"""


def write(path: pathlib.Path, found: Found) -> pathlib.Path:
    """Write the page, whole or not at all; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = page(found)
    with tempfile.NamedTemporaryFile('w', encoding='utf-8', dir=path.parent,
                                     delete=False) as stream:
        stream.write(content)
    os.chmod(stream.name, 0o644)
    os.replace(stream.name, path)
    return path


def page(found: Found) -> str:
    """The page as text. Whatever comes from the database is escaped."""
    experiment, trials = found.experiment, found.trials
    sections = [
        _section('History', 'Loss of each trial in the order of its proposal; the line is the best '
                 'so far.', history.draw(trials)),
        _section('Parallel coordinates', 'One line a trial, dark where the loss is low. Drag along '
                 'an axis to keep the trials that cross it there; double-click to let go.',
                 parallel.draw(experiment, trials)),
        _section('Hyperparameters', 'Loss against each value. Below, the densities that TPE has '
                 'made of them: it proposes where l, of the best trials, is high and g, of the '
                 'others, is low.', parameters.draw(experiment, trials)),
        _section('Importance', importance.EXPLANATION, importance.draw(experiment, trials)),
        _section('Workers', 'What each worker did when, by the clock of the database.',
                 timeline.draw(trials)),
        _section('Trials', 'Click on a heading to sort.', table.draw(experiment, trials)),
    ]
    return _PAGE.format(
        title=html.escape('Search ' + experiment.exp_key), summary=_summary(found),
        style=(_FOLDER / 'page.css').read_text(encoding='utf-8'),
        script=(_FOLDER / 'page.js').read_text(encoding='utf-8'), sections='\n'.join(sections))


def _section(title, explanation, content):
    return '<section id="{}">\n<h2>{}</h2>\n<p class="note">{}</p>\n{}\n</section>'.format(
        title.lower().replace(' ', '-'), title, html.escape(explanation), content)


def _meaning(experiment):
    """What the loss of a training is, and of which images."""
    if experiment.objective == 'train':
        yield 'A loss is 1 minus the best accuracy of a trial on {} of {}.'.format(
            {'holdout': 'held-out training images', 'test': 'the test images'}[
                experiment.settings.get('select_on', 'test')],
            LABELS.get(experiment.data, experiment.settings['dataset']))


def _summary(found):
    """What was searched and what came of it, in a few lines and a list of settings."""
    experiment = found.experiment
    about = {**experiment.settings, **experiment.search, 'objective': experiment.objective,
             'chainer_kfac': experiment.version, 'protocol': experiment.digest}
    top = results.best(found.trials)
    said = [*found.status(), *_meaning(experiment)]
    lines = ''.join('<p>{}</p>\n'.format(html.escape(line)) for line in said)
    best = ''
    if top is not None:
        best = '<div class="best"><span>best loss</span><b>{:.5g}</b><span>trial {}</span></div>' \
            .format(top['result']['loss'], int(top['tid']))
    facts = ''.join('<div><dt>{}</dt><dd>{}</dd></div>'.format(
        html.escape(str(key)), html.escape('{:g}'.format(value) if isinstance(value, float)
                                           else str(value))) for key, value in about.items())
    return '<header>{}<div>{}</div></header>\n<dl>{}</dl>'.format(best, lines, facts)
