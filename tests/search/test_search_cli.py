"""The commands as a user types them, with the server that starts by itself."""
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from chainer_kfac.cli import main
from chainer_kfac.search import experiments, options, session, space
from chainer_kfac.search.worker import Worker

pytestmark = pytest.mark.mongo


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with a finished search of Branin in its embedded database."""
    root = tmp_path_factory.mktemp('cli')
    with session.opened(None, root) as (store, _):
        store.create_indexes()
        experiment = experiments.begin(
            store, 'toy', 'branin', {'epochs': 2},
            space.Space((space.Dimension('x', 'uniform', -5, 10),
                         space.Dimension('y', 'uniform', 0, 15))), options.search(trials=5))
        for tid in range(5):
            store.jobs.insert_one(experiment.new_trial(tid, {'x': tid - 2.0, 'y': 5.0}, 'x'))
        Worker(store, root, max_trials=5).run()
    return root


@dataclasses.dataclass
class Done:
    """What a command has printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def run(root, *arguments):
    """The command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(['search', *map(str, arguments), '--root', str(root)])
    return Done(code, out.getvalue(), err.getvalue())


def run_process(root, *arguments):
    """The command in a process of its own, as a user starts it."""
    done = subprocess.run([sys.executable, '-m', 'chainer_kfac', 'search', *map(str, arguments),
                           '--root', str(root)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=200, check=False,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert 'Traceback' not in done.stderr, done.stderr
    return done


def test_status_best_list(root):
    assert '5 of 5 trials ended (5 with a loss, 0 failed)' in run(root, 'status').stdout
    assert run(root, 'best').stdout.startswith('trial 4 of toy: loss ')
    assert run(root, 'list').stdout.startswith('toy: 5 of 5 trials ended')


def test_export_and_report(root):
    files = run(root, 'export', '--exp-key', 'toy').stdout.split()
    assert [os.path.basename(path) for path in files] == ['experiment.json', 'trials.jsonl',
                                                          'trials.csv']
    lines = (root / 'search' / 'toy' / 'trials.jsonl').read_text().splitlines()
    assert [json.loads(line)['tid'] for line in lines] == list(range(5))
    path = run(root, 'report').stdout.strip()
    assert path.endswith('search/toy/report.html')
    assert os.path.getsize(path) > 20000


@pytest.mark.parametrize(('arguments', 'said'), [
    (['best', '--exp-key', 'nope'], 'there is no experiment nope'),
    (['best', '--write', '/nowhere/x.yaml'], 'only a search of objective train makes a cell'),
    (['--optimizer', 'kfac'], '--batch is missing'),
    (['--optimizer', 'kfac', '--batch', '64', 'lr'], "'lr' is not of the form key=value"),
    (['--optimizer', 'kfac', '--batch', '64', 'batch_size=3'], 'use --batch'),
    (['--optimizer', 'kfac', '--batch', '64', 'beta1=0.5'], 'beta1 belongs to adam'),
    (['--optimizer', 'kfac', '--batch', '64', '--trials', '0'], '--trials must be at least 1'),
    (['--optimizer', 'kfac', '--batch', '64', '--profile', 'long'], 'unknown profile'),
    (['--optimizer', 'kfac', '--batch', '64', '--mongo', 'mongodb://u:secret@h/'], 'process list'),
    (['--optimizer', 'kfac', '--batch', '64', '--seed', '20250731123000'], 'seed must be at most'),
    (['--optimizer', 'kfac', '--batch', '64', '--lease', 'inf'], '--lease must be at most'),
    (['--optimizer', 'kfac', '--batch', '64', '--workers', '-1'], '--workers must be at least 0'),
    (['--optimizer', 'kfac', '--batch', '64', '--profile', 'smoke', 'lr_decay_epoch=null'],
     'lr_decay'),
    (['best', '--write', 'mine'], '--write needs a file name that ends with .yaml, got mine'),
    (['status', 'please'], 'takes no please')])
def test_mistakes_are_one_sentence(root, arguments, said):
    done = run(root, *arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('chainer-kfac')]
    assert said in line
    assert 'secret' not in done.stderr


def test_delete_asks_and_deletes(tmp_path):
    with session.opened(None, tmp_path) as (store, _):
        store.create_indexes()
        for name in ('a', 'b'):
            experiments.begin(store, name, 'cliff', {}, space.Space((
                space.Dimension('x', 'uniform', 0, 1),)), options.search(trials=1))
        store.experiments.update_one({'_id': 'a'}, {'$set': {'search.lease': -1}})
    assert [line[:4] for line in run(tmp_path, 'list').stdout.splitlines()] == ['expe', 'b: 0']
    assert 'add --yes' in run_process(tmp_path, 'delete', '--exp-key', 'a').stderr
    done = run(tmp_path, 'status')
    assert 'experiments a, b: say which by --exp-key' in done.stderr
    assert '0 trials deleted' in run(tmp_path, 'delete', '--exp-key', 'a', '--yes').stdout
    assert run(tmp_path, 'list').stdout.startswith('b: ')


@pytest.mark.slow
def test_a_search_from_nothing_to_a_tuned_cell(tmp_path):
    """The one command: database, worker, trials, report; ended once, and typed again."""
    command = ['--optimizer', 'momentum_sgd', '--batch', '64', '--trials', '2', '--profile',
               'smoke', '--dataset', 'digits', 'train_size=64', 'test_size=32', 'min_updates=1']
    with open(tmp_path / 'log', 'wb') as log:
        first = subprocess.Popen(
            [sys.executable, '-m', 'chainer_kfac', 'search', *command, '--root',
             str(tmp_path / 'runs')], env={**os.environ, 'OMP_NUM_THREADS': '1'},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob('worker-0.log')) and time.monotonic() < deadline:
        time.sleep(0.05)
    first.terminate()
    assert first.wait(60) == 143
    said = (tmp_path / 'log').read_text()
    assert 'join with: chainer-kfac worker --mongo mongodb://127.0.0.1:' in said
    assert said.endswith('stopped by SIGTERM; the same command goes on from there\n')
    done = run_process(tmp_path / 'runs', *command)
    assert done.returncode == 0, done.stderr
    assert ' of momentum_sgd-bs64-smoke-digits' in done.stdout
    assert '2 of 2 trials ended' in done.stderr
    folder, = [path for path in (tmp_path / 'runs' / 'search').iterdir()
               if path.name.startswith('momentum_sgd')]
    assert (folder / 'report.html').exists()
    trials = run(tmp_path / 'runs', 'export').stdout.split()[1]
    first = json.loads(pathlib.Path(trials).read_text().splitlines()[0])
    assert (first['origin'], first['values']['lr']) == ('paper-bs128', 7.02133e-3)
    cell = tmp_path / 'tuned.yaml'
    assert run(tmp_path / 'runs', 'best', '--write', cell).returncode == 0
    assert 'optimizer: momentum_sgd' in cell.read_text()
