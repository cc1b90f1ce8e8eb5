"""``chainer-kfac table1`` and ``promote`` as a user runs them, on a few digits."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

SMALL = ['--dataset', 'digits', 'train_size=128', 'test_size=50', 'min_updates=0', 'epochs=1']


@pytest.fixture
def command(tmp_path):
    """``command('table1', ...)`` runs in a folder of its own and returns the finished process."""
    def run(*arguments):
        return subprocess.run([sys.executable, '-m', 'chainer_kfac', *arguments], cwd=tmp_path,
                              capture_output=True, text=True, timeout=120, check=False)
    return run


def table(tmp_path):
    return json.loads((tmp_path / 'runs/table1/smoke/digits/table1.json').read_text())


def rows(tmp_path, status):
    return [(row['optimizer'], row['batch_size']) for row in table(tmp_path)['rows']
            if row['status'] == status]


def test_a_failing_cell_is_reported_and_the_others_go_on(command, tmp_path):
    # batch 512 has more images than there are: that run alone cannot be built
    wanted = ['table1', '--optimizer', 'momentum_sgd', '--batch', '512', '128', '--jobs', '2',
              *SMALL]
    done = command(*wanted)
    assert done.returncode == 1, done.stderr
    assert rows(tmp_path, 'finished') == [('momentum_sgd', 128)]
    assert rows(tmp_path, 'failed') == [('momentum_sgd', 512)]
    assert 'batch_size must be at most the number of training images' in done.stderr
    assert 'Traceback' not in done.stderr
    assert '| Momentum SGD |   128 |' in done.stdout
    assert 'seed 0 failed: batch_size must be at most' in done.stdout
    folder = tmp_path / 'runs/table1/smoke/digits/momentum_sgd-bs128/seed0'
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    done = command(*wanted)
    assert '1 of 2 runs were finished before' in done.stderr
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    done = command('promote', str(folder))
    assert done.returncode == 0, done.stderr
    done = command('table1', '--from', 'results')
    assert done.returncode == 0, done.stderr
    assert '| Momentum SGD |   128 |' in done.stdout
    assert not list((tmp_path / 'results').rglob('snapshot*'))


def test_a_diverging_cell_is_shown_as_such_and_not_trained_again(command, tmp_path):
    wanted = ['table1', '--optimizer', 'adam', '--batch', '128', *SMALL, 'lr=1e30']
    done = command(*wanted)
    assert done.returncode == 1
    assert rows(tmp_path, 'diverged') == [('adam', 128)]
    assert 'diverged' in done.stdout
    started = time.monotonic()
    done = command(*wanted)
    assert done.returncode == 1
    assert 'FAILED' in done.stderr
    assert time.monotonic() - started < 60
    console = tmp_path / 'runs/table1/smoke/digits/adam-bs128/seed0/console.txt'
    assert console.read_text().count('1 epochs of') == 1


def test_interrupt_stores_a_snapshot_and_the_same_command_goes_on(tmp_path):
    arguments = [sys.executable, '-m', 'chainer_kfac', 'table1', '--optimizer', 'momentum_sgd',
                 '--batch', '128', *SMALL[:-1], 'epochs=15']
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL)
    folder = tmp_path / 'runs/table1/smoke/digits/momentum_sgd-bs128/seed0'
    wait_for(folder / 'log')
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert '0 of 1 runs finished; the same command goes on from there' in stderr
    assert list(folder.glob('snapshot_iter_*'))
    assert not (folder / 'failure.json').exists()
    assert not (folder / 'result.json').exists()
    holder = int((folder / '.lock').read_text().split()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(holder, 0)
    epochs = len(json.loads((folder / 'log').read_text()))
    assert 0 < epochs < 15

    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert [entry['epoch'] for entry in json.loads((folder / 'log').read_text())] == list(
        range(1, 16))
    assert (folder / 'console.txt').read_text().count('15 epochs of') == 2  # resumed, not anew
    assert rows(tmp_path, 'finished') == [('momentum_sgd', 128)]


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, '{} did not appear'.format(path)
        time.sleep(0.05)


def test_collect_trains_nothing(command, tmp_path):
    done = command('table1', '--collect')
    assert done.returncode == 2
    assert done.stderr.startswith('chainer-kfac table1: there are no runs in runs/table1')
    assert not (tmp_path / 'runs').exists()


@pytest.mark.parametrize(('arguments', 'says'), [
    (['--profile', 'shrot'], "unknown profile 'shrot'"),
    (['--optimizer', 'sgd'], 'no cell has optimizer sgd'),
    (['--batch', '256'], 'no cell has batch size 256'),
    (['--dataset', 'mnist'], "'mnist'"),
    (['--seeds', '0'], '--seeds must be at least 1, got 0'),
    (['--jobs', '0'], '--jobs must be at least 1, got 0'),
    (['--hparams', 'nothing'], 'experiments/nothing.yaml'),
    (['--optimizer', 'kfac', 'dampling=1', '--dataset', 'digits'], 'damping?'),
    (['lr=0.1', '--profile', 'smoke', '--dataset', 'digits', 'dampling=1'], 'damping?'),
    (['--collect', 'lr=0.1'], 'lr=0.1 is about training, and --collect trains nothing'),
    (['--from', 'results', '--batch', '128'],
     '--batch is about training, and --from results trains nothing'),
    (['--from', 'results', '--root', 'mine'], 'and --root names mine: for the runs there leave'),
])
def test_bad_input_is_one_sentence_and_exit_2(capsys, tmp_path, monkeypatch, arguments, says):
    from chainer_kfac import cli
    monkeypatch.chdir(tmp_path)
    assert cli.main(['table1', *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_quickstart_is_a_run(tmp_path):
    from chainer_kfac import resources
    from chainer_kfac.training.config import RunConfig
    path = resources.find('experiments/quickstart.yaml')
    assert RunConfig.load(path, ['lr=0.5']).lr == 0.5
    assert yaml.safe_load(path.read_text())['dataset'] == 'digits'
