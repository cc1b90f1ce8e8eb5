"""``chainer-kfac study`` and ``figure2`` as a user runs them, on a few digits."""
import json
import sys

import pytest

from chainer_kfac import cli

SMALL = ['--dataset', 'digits', '--optimizer', 'momentum_sgd', 'train_size=256', 'test_size=50',
         'min_updates=0', 'epochs=1']


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_of_table_1_are_not_trained_again_and_the_figures_follow(folder, capsys, caplog):
    assert cli.main(['table1', *SMALL, '--batch', '128']) == 0
    run = folder / 'runs/table1/smoke/digits/momentum_sgd-bs128/seed0'
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    capsys.readouterr()

    assert cli.main(['study', *SMALL, '--batch', '128', '256']) == 0
    out, err = capsys.readouterr()
    assert '1 of 2 runs were finished before' in err
    assert before == {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    result = json.loads(
        (folder / 'runs/study/smoke/digits/momentum_sgd-bs256/seed0/result.json').read_text())
    assert '| Momentum SGD |   256 | between 128 and 512 ' in out
    assert '{:.4f}'.format(result['best_val_acc']) in out
    assert 'Written: runs/study/smoke/digits/study.md' in caplog.text

    assert cli.main(['study', '--collect']) == 0
    assert capsys.readouterr().out == out

    assert cli.main(['figure2']) == 0
    out, err = capsys.readouterr()
    assert 'Missing: Momentum SGD 512, 1024, 2048; Adam 128,' in out
    assert out.splitlines()[-9:] == [
        'runs/figures/smoke/digits/{}.{}'.format(name, suffix)
        for name in ('figure2', 'study', 'batch_size') for suffix in ('pdf', 'svg', 'png')]
    assert all((folder / line).stat().st_size > 10000 for line in out.splitlines()[-9:])


@pytest.mark.parametrize(('arguments', 'says'), [
    (['study', 'variant=mine'], 'which is named with --hparams, and not variant=mine'),
    (['study', '--batch', '64'], 'no cell has batch size 64: choose from 128, 256, 512'),
    (['study', '--hparams', 'nothing'], 'experiments/nothing.yaml'),
    (['study', '--seeds', '0'], '--seeds must be at least 1'),
    (['study', '--collect'], 'there are no runs in runs/study/*/* or runs/table1/*/*: train some'),
    (['figure2', '--from', 'results'], 'there are no runs in results/study/*/*'),
])
def test_bad_input_is_one_sentence_and_exit_2(capsys, folder, arguments, says):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_without_matplotlib_the_remedy_is_named(capsys, folder, monkeypatch):
    run = folder / 'runs/table1/short/cifar10/adam-bs2048/seed0'
    run.mkdir(parents=True)
    (run / 'config.yaml').write_text(
        'format: 1\nexperiment: table1\nprofile: short\noptimizer: adam\nbatch_size: 2048\n'
        'epochs: 20\nseed: 0\ndataset: cifar10\nselect_on: test\n')
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert cli.main(['figure2']) == 2
    assert "pip install 'chainer_kfac[notebooks]'" in capsys.readouterr().err
    assert not (folder / 'runs/figures').exists()
