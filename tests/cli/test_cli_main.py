"""The command line's frame: subcommands, exit codes, one sentence for what went wrong."""
import logging
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from chainer_kfac import cli
from chainer_kfac.exceptions import ConfigError, DivergedError
from chainer_kfac.training import Interrupted

RESULTS = Path(__file__).parents[2] / 'results'


@pytest.fixture
def command(monkeypatch):
    """``command(action)`` makes ``chainer-kfac train`` call the action."""
    def make(action):
        def add_parser(subparsers):
            subparsers.add_parser('train')
        module = types.SimpleNamespace(add_parser=add_parser, run=lambda args: action())
        monkeypatch.setattr(cli, 'COMMANDS', ('train',))
        monkeypatch.setattr(cli.importlib, 'import_module', lambda name: module)
    return make


def raiser(error):
    def action():
        raise error
    return action


@pytest.mark.parametrize(('error', 'code', 'said'), [
    (ConfigError('lr must be > 0, got -1'), 2, 'chainer-kfac train: lr must be > 0, got -1\n'),
    (DivergedError('it diverged'), 1, 'chainer-kfac train: it diverged\n'),
    (KeyboardInterrupt(), 130, 'chainer-kfac train: interrupted\n'),
    (Interrupted(15, 'saved'), 143, 'chainer-kfac train: saved\n'),
])
def test_errors_are_one_sentence_and_an_exit_code(command, capsys, error, code, said):
    command(raiser(error))
    assert cli.main(['train']) == code
    assert capsys.readouterr() == ('', said)


@pytest.mark.parametrize(('flags', 'said'), [
    (['--batch', '128', '0'], '--batch must be at least 1, got 0'),
    (['--rounds', '-1'], '--rounds must be at least 1, got -1')])
def test_a_benchmark_of_nothing_is_refused(capsys, flags, said):
    assert cli.main(['bench', *flags]) == 2
    assert capsys.readouterr().err == 'chainer-kfac bench: {}\n'.format(said)


def test_a_defect_keeps_its_traceback(command):
    command(raiser(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(['train'])


def test_messages_are_shown_whatever_a_library_does_to_the_root_logger(command, caplog):
    def action():
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger('chainer_kfac.training').info('epoch 1')
    level = logging.getLogger().level
    logging.getLogger('chainer_kfac').setLevel(logging.NOTSET)
    try:
        command(action)
        cli.main(['train'])
    finally:
        logging.getLogger().setLevel(level)
    assert caplog.messages == ['epoch 1']


@pytest.mark.parametrize(('returned', 'code'), [(None, 0), (0, 0), (3, 3)])
def test_exit_code_of_a_command(command, returned, code):
    command(lambda: returned)
    assert cli.main(['train']) == code


@pytest.mark.parametrize('argv', [[], ['trian'], ['train', '--roof', 'x', 'a.yaml'],
                                  ['doctor', 'lr=0.1'], ['table1', 'lr=0.1', '--force', 'lr']])
def test_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert 'usage: chainer-kfac' in capsys.readouterr().err


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_helps_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([name, '--help'])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert 'example' in said.lower()
    assert 'chainer-kfac ' + name in said.partition('xample')[2]


def test_help_answers_without_importing_the_rooms():
    program = ('import sys\nfrom chainer_kfac.cli import main\n'
               'try:\n    main(["--help"])\nexcept SystemExit:\n    pass\n'
               'print(sorted({"numpy", "chainer", "scipy", "yaml"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          check=True)
    assert done.stdout.splitlines()[-1] == '[]'
    for name in cli.COMMANDS:
        assert '\n    {} '.format(name) in done.stdout


@pytest.mark.parametrize('words', [
    'table1 --collect --profile short --dataset cifar10',
    'study --collect --profile short --dataset cifar10',
    'submit table1 --profile short --dataset cifar10 --dry-run',
    'submit --status',
])
def test_what_trains_nothing_does_without_chainer(words, tmp_path):
    """Chainer takes seconds to import, and so does numba with the kernels."""
    cell = 'table1/short/cifar10/adam-bs128'
    shutil.copytree(RESULTS / cell, tmp_path / 'runs' / cell)
    program = ('import sys\nfrom chainer_kfac.cli import main\n'
               'assert main(sys.argv[1:]) == 0\n'
               'print(sorted({"chainer", "numba"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', program, *words.split()],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '[]'


def test_python_m_is_the_same_command():
    done = subprocess.run([sys.executable, '-m', 'chainer_kfac', '--help'], capture_output=True,
                          text=True, check=True)
    assert done.stdout.startswith('usage: chainer-kfac [-h] COMMAND')


@pytest.mark.parametrize('lines', [1, 100000])
def test_a_reader_that_leaves_is_no_error(lines):
    program = ('import sys\nfrom chainer_kfac import cli\nfrom chainer_kfac.cli import train\n'
               'sys.stdin.read()\n'
               'train.run = lambda args: print("line\\n" * {})\n'
               'sys.exit(cli.main(["train", "x.yaml"]))'.format(lines))
    with subprocess.Popen([sys.executable, '-c', program], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == ''
        assert process.wait() == 141
