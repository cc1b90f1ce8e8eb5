"""Results, exports, the cell that was found, and the page about it."""
import csv
import html.parser
import io
import json
import re
import subprocess
import types

import numpy as np
import pytest
import yaml

from chainer_kfac.analysis import search_report
from chainer_kfac.analysis.search_report import densities, importance, svg, timeline
from chainer_kfac.search import export, results, space, tuned
from chainer_kfac.search.documents import DONE, ERROR, NEW, RUNNING, Experiment
from chainer_kfac.search.errors import SearchError
from chainer_kfac.search.found import Found
from chainer_kfac.search.live import Live
from chainer_kfac.sweeps import plan, profiles

SPACE = space.Space((space.Dimension('lr', 'loguniform', 1e-4, 1.0),
                     space.Dimension('lr_decay_epoch', 'quniform', 10, 100, 10),
                     space.Dimension('momentum', 'uniform', 0.5, 0.99)))
SETTINGS = {'optimizer': 'momentum_sgd', 'batch_size': 512, 'epochs': 20, 'dataset': 'digits',
            'profile': 'short', 'lr_decay_epoch_scale': 0.1, 'seed': 0, 'select_on': 'holdout',
            'lr_decay': 0.5}
NASTY = '</script><img src=x onerror=alert(1)>'


def when(seconds):
    import datetime
    return datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=float(seconds))


@pytest.fixture(scope='module')
def found():
    """Forty trials whose loss depends on the rate alone; some pruned, failed, begun again."""
    random = np.random.default_rng(0)
    experiment = Experiment('e', 'u', 'train', SETTINGS, SPACE, {
        'trials': 44, 'algorithm': 'tpe', 'gamma': 0.25, 'seed': 0, 'prune': 'both', 'lease': 60.0,
        'setbacks': 3})
    trials = []
    for tid in range(44):
        lr = float(10 ** random.uniform(-4, 0))
        trial = experiment.new_trial(tid, {
            'lr': lr, 'lr_decay_epoch': float(random.integers(1, 11) * 10),
            'momentum': float(random.uniform(0.5, 0.99))}, 'tpe' if tid > 20 else 'random')
        trial.update(state=DONE, attempt=1, owner='host:{}:{}'.format(tid % 3, NASTY),
                     book_time=when(tid * 10), end_time=when(tid * 10 + 25), deliveries=1)
        trial['result'] = {'status': 'ok', 'loss': float(0.3 + 0.1 * np.log10(lr / 0.01) ** 2),
                           'epochs': 20, 'seconds': 25.0, 'pruned': None}
        if tid % 5 == 4:
            trial['result'].update(pruned='median', epochs=4)
        if tid % 11 == 10:
            trial['result'] = {'status': 'fail', 'reason': 'diverged', 'message': NASTY}
        if tid == 7:
            trial['history'] = [{'attempt': 1, 'owner': 'gone:1:x', 'start': when(70),
                                 'end': when(80), 'reason': 'silent'}]
        trials.append(trial)
    trials[-1].update(state=NEW, result={'status': 'new'}, book_time=None, owner=None)
    trials[-2].update(state=RUNNING, result={'status': 'new'}, end_time=None,
                      refresh_time=when(440))
    trials[-3].update(state=ERROR, result={'status': 'fail', 'reason': 'lost', 'message': 'x'})
    return Found(experiment, trials, [])


def test_counts_best_and_saving(found):
    now = results.counts(found.trials)
    assert (now.waiting, now.running, now.done, now.failed) == (1, 1, 38, 4)
    top = results.best(found.trials)
    losses = [trial['result']['loss'] for trial in found.trials if 'loss' in trial['result']]
    assert top['result']['loss'] == min(losses)
    pruned = [trial for trial in found.trials if trial['result'].get('pruned')]
    assert results.saving(found.experiment, found.trials) == (
        len(pruned), 16 * len(pruned), 20 * 38)
    status = '\n'.join(found.status())
    assert '42 of 44 trials ended (38 with a loss, 4 failed), 1 running, 1 waiting' in status
    assert '3 diverged, 1 lost' in status
    assert 'attempts that were begun again: 1' in status


def test_the_live_table_on_a_terminal_and_in_a_file(found):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    observed, ended = types.SimpleNamespace(trials=found.trials), found.trials[4:5]
    terminal, file = Terminal(), io.StringIO()
    live = Live(found.experiment, terminal)
    live(observed, ended)
    first, summary, best, running = terminal.getvalue().splitlines()
    assert first.startswith('[42/44] trial 4: loss ')
    assert 'pruned (median) after 4 of 20 epochs' in first
    assert summary.startswith('e: 42/44 ended (8 pruned, 4 failed), 1 running, 1 waiting; best 0.3')
    assert summary.endswith(' left')
    assert best.split()[:2] == ['best', str(results.best(found.trials)['tid'])]
    assert running.split()[:2] == ['running', '42']
    live.close()
    assert terminal.getvalue().endswith('\x1b[3F\x1b[J')
    Live(found.experiment, file)(observed, ended)
    assert file.getvalue() == first + '\n'


def test_no_best_is_an_error(found):
    with pytest.raises(SearchError, match='no trial of e'):
        results.need_best(found.experiment, found.trials[-3:])


def test_export_holds_every_trial(found, tmp_path):
    about, lines, table = export.write(tmp_path / 'out', found.experiment, found.trials)
    assert json.loads(about.read_text())['space'] == SPACE.document()
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record['tid'] for record in records] == list(range(44))
    assert records[0]['values']['lr'] == found.trials[0]['misc']['vals']['lr'][0]
    assert records[0]['book_time'] == '2026-01-01T00:00:00.000Z'
    with open(table, newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert [row['tid'] for row in rows] == [str(tid) for tid in range(44)]
    assert float(rows[0]['loss']) == found.trials[0]['result']['loss']
    assert {row['state'] for row in rows} == {'done', 'failed', 'running', 'waiting'}


def test_an_export_can_be_read_again(found, tmp_path):
    written = export.write(tmp_path / 'first', found.experiment, found.trials)
    experiment, trials = export.read(tmp_path / 'first')
    assert experiment == found.experiment
    again = export.write(tmp_path / 'second', experiment, trials)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
    finished = [trial for trial in found.trials if trial['state'] == DONE]
    read = [trial for trial in trials if trial['state'] == DONE]
    assert (search_report.page(Found(experiment, read, []))
            == search_report.page(Found(found.experiment, finished, [])))


def test_what_is_no_export_is_refused(found, tmp_path):
    with pytest.raises(SearchError, match='no export.*experiment.json is missing'):
        export.read(tmp_path)
    _, lines, _ = export.write(tmp_path, found.experiment, found.trials)
    lines.write_text('{"tid": 0}\n')
    with pytest.raises(SearchError, match='damaged'):
        export.read(tmp_path)


def test_the_tuned_cell_trains_as_the_search_did(found, tmp_path):
    path = tmp_path / 'tuned.yaml'
    top = results.best(found.trials)
    tuned.write(path, found.experiment, top)
    (cell,) = plan.load(str(path))
    values = results.values(found.experiment, top)
    assert {name: cell.settings[name] for name in values} == values
    assert cell.settings['variant'] == 'tuned'
    (config,) = plan.runs([cell], plan.all_profiles()['short'], 'digits')
    assert (config.lr, config.batch_size, config.epochs) == (values['lr'], 512, 20)
    assert config.lr_decay_epoch == round(values['lr_decay_epoch'] / 10)
    assert profiles.DATASET == 'cifar10'


def test_a_new_cell_replaces_the_old_one_and_keeps_the_others(found, tmp_path):
    path = tmp_path / 'tuned.yaml'
    good = [trial for trial in found.trials if results.is_good(trial)][:3]
    other = Experiment('f', 'u', 'train', {**SETTINGS, 'batch_size': 128}, SPACE,
                       found.experiment.search)
    tuned.write(path, found.experiment, good[0])
    tuned.write(path, other, good[1])
    tuned.write(path, found.experiment, good[2])
    text = path.read_text()
    cells = yaml.safe_load(text)['cells']
    assert [cell['batch_size'] for cell in cells] == [128, 512]
    assert cells[1]['lr'] == good[2]['misc']['vals']['lr'][0]
    assert text.count('# trial') == 2
    assert 'trial {} of 44 in e'.format(good[2]['tid']) in text
    path.write_text(text + '  - {optimizer: adam, batch_size: 64, lr: 0.1}\n')
    with pytest.raises(SearchError, match=r'holds cells that no search has written \(adam 64\)'):
        tuned.write(path, other, good[1])
    path.write_text('cells: []\n')
    with pytest.raises(SearchError, match='not written by a search'):
        tuned.write(path, other, good[1])


def test_densities_are_densities_and_follow_the_trials(found):
    values, below, above = densities.curves(found.trials, SPACE.dimensions[0], 0.25)
    grid = np.log(values)
    for density in (below, above):
        np.testing.assert_allclose(np.trapezoid(density, grid) / (grid[-1] - grid[0]), 1, atol=0.02)
    best, _ = densities.split(found.trials, 'lr', 0.25)
    assert len(best) == int(np.ceil(0.25 * np.sqrt(44)))
    assert abs(np.log10(values[below.argmax()] / 0.01)) < 0.5


def test_importance_finds_the_one_that_matters(found):
    good = [trial for trial in found.trials if results.is_good(trial)]
    shares, score = importance.estimate(found.experiment, good)
    assert shares[0] > 0.7
    assert max(shares[1:]) < 0.15
    assert score > 0.5


def test_importance_says_when_it_is_not_to_be_believed(found):
    assert 'doubtful' not in importance.draw(found.experiment, found.trials)
    few = [{**trial, 'result': {**trial['result'], 'loss': float((trial['tid'] * 7) % 13)}}
           for trial in found.trials if results.is_good(trial)][:14]
    assert 'may be chance' in importance.draw(found.experiment, few)
    assert 'doubtful' in importance.draw(found.experiment, few)


def test_timeline_knows_every_attempt(found):
    assert [(each[0], each[3]) for each in timeline.attempts(found.trials[7])] == [
        ('gone:1:x', 'silent'), (found.trials[7]['owner'], 'done')]
    assert timeline.attempts(found.trials[-1]) == []


@pytest.mark.parametrize(('low', 'high', 'log', 'ticks'), [
    (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1e-4, 1, True, [1e-4, 1e-3, 1e-2, 0.1, 1]),
    (10, 100, False, [20, 40, 60, 80, 100]), (0.05, 1, True, [0.1, 1.0])])
def test_ticks_are_round(low, high, log, ticks):
    np.testing.assert_allclose(svg.Scale(low, high, 0, 100, log).ticks(), ticks, atol=1e-12)


class _Page(html.parser.HTMLParser):
    """Tags that are open, to see that each is closed; addresses that would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ('src', 'href', 'data')]
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(found):
    text = search_report.page(found)
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.addresses == []
    assert not re.search(r'url\(|@import|https?://(?!www\.w3\.org/2000/svg)', text)
    assert '<img' not in text  # what a worker has written stays text
    assert text.count('<tr ') == 44


def test_a_search_without_results_has_a_page(found):
    text = search_report.page(Found(found.experiment, found.trials[-1:], []))
    assert 'No trial has ended with a loss yet' in text
    assert '<svg' not in text


PROBE = """<script>
window.addEventListener('load', () => {
  const out = {errors: window.caught || []};
  const headings = Array.from(document.querySelectorAll('th'));
  const column = () => Array.from(document.querySelectorAll('tbody tr')).map(
    row => row.cells[2].dataset.value).filter(value => value !== undefined).map(Number);
  headings[2].click();
  out.up = column();
  headings[2].click();
  out.down = column();
  const brush = document.querySelector('.brush'), box = brush.getBoundingClientRect();
  const mouse = (kind, target, y) => target.dispatchEvent(new MouseEvent(kind,
    {bubbles: true, clientX: box.left + 5, clientY: y}));
  mouse('mousedown', brush, box.top + 5);
  mouse('mousemove', document, box.top + box.height / 3);
  mouse('mouseup', document, 0);
  out.faded = document.querySelectorAll('.line.off').length;
  mouse('dblclick', brush, box.top);
  out.after = document.querySelectorAll('.line.off').length;
  const point = document.querySelector('circle.trial'), at = point.getBoundingClientRect();
  point.dispatchEvent(new MouseEvent('mousemove', {bubbles: true, clientX: at.left,
    clientY: at.top}));
  out.tip = document.getElementById('tip').textContent;
  out.lit = document.querySelectorAll('.lit').length;
  out.wide = document.documentElement.scrollWidth > innerWidth;
  out.overlaps = 0;
  document.querySelectorAll('svg').forEach(svg => {
    const boxes = Array.from(svg.querySelectorAll('text')).map(t => t.getBoundingClientRect());
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
      out.overlaps += a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1
        && b.top < a.bottom - 1;
    }));
  });
  document.body.innerHTML = '<pre id="out"></pre>';
  document.getElementById('out').textContent = JSON.stringify(out);
});
</script>"""


def test_the_page_says_what_a_loss_is(found):
    assert ('A loss is 1 minus the best accuracy of a trial on held-out training images of digits.'
            in search_report.page(found))


@pytest.mark.browser
def test_the_page_in_a_browser(found, tmp_path):
    """Offline, in headless Chromium: it draws, sorts, brushes, lights up, and overlaps nothing."""
    text = search_report.page(found)
    before = "<script>window.onerror = (...e) => { (window.caught ||= []).push(String(e[0])); }" \
             "</script>"
    path = tmp_path / 'report.html'
    path.write_text(text.replace('<main>', before + '<main>').replace('</body>', PROBE + '</body>'))
    done = subprocess.run(
        ['chromium', '--headless', '--no-sandbox', '--disable-gpu', '--window-size=1160,3000',
         '--proxy-server=127.0.0.1:1', '--user-data-dir={}'.format(tmp_path / 'profile'),
         '--virtual-time-budget=5000', '--dump-dom', 'file://{}'.format(path)],
        capture_output=True, text=True, timeout=120, check=True)
    out = json.loads(re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)[1].replace(
        '&lt;', '<').replace('&gt;', '>').replace('&amp;', '&'))
    assert out['errors'] == []
    assert out['up'] == sorted(out['up'])
    assert out['down'] == sorted(out['down'], reverse=True)
    assert len(out['up']) == 38
    assert 0 < out['faded'] < 38
    assert out['after'] == 0
    assert out['tip'].startswith('trial ')
    assert out['lit'] >= 3
    assert not out['wide']
    assert out['overlaps'] == 0
