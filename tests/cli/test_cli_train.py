"""``chainer-kfac train``: what it makes of its arguments."""
import pathlib

import pytest

from chainer_kfac import cli, training

TEXT = 'optimizer: kfac\ndataset: digits\nepochs: 2\nlr: 0.1\n'


@pytest.fixture
def called(monkeypatch):
    """The arguments of each call of training.run, which trains nothing here."""
    calls = []
    monkeypatch.setattr(training, 'run', lambda *args, **options: calls.append((args, options)))
    return calls


@pytest.fixture
def request_file(tmp_path):
    path = tmp_path / 'run.yaml'
    path.write_text(TEXT)
    return str(path)


def test_flags_root_and_force(called, request_file):
    assert cli.main(['train', request_file, 'lr=0.2', 'seed=3', '--root', 'elsewhere']) == 0
    assert cli.main(['train', '--force', request_file, 'variant=b']) == 0
    (config, path), options = called[0]
    assert (config.lr, config.seed) == (0.2, 3)
    assert path == pathlib.Path('elsewhere/train/custom/digits/kfac-bs128/seed3')
    assert options.pop('comm').size == 1
    assert options == {'force': False}
    (config, path), options = called[1]
    assert path == pathlib.Path('runs/train/custom/digits/kfac-bs128-b/seed0')
    assert options.pop('comm').size == 1
    assert options == {'force': True}


def test_a_shipped_example_is_there_everywhere(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(['train', 'experiments/quickstart.yaml', 'seed=3']) == 0
    assert called[0][0][0].seed == 3


def test_fields_may_stand_between_flags(called, request_file):
    assert cli.main(['train', request_file, '--root', 'x', 'lr=0.2',
                     '--force', 'seed=3']) == 0
    (config, _), options = called[0]
    assert (config.lr, config.seed, options['force']) == (0.2, 3, True)


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (['lr=-1'], 'lr must be a number > 0, got -1 (in the flag lr=-1)'),
    (['epoch=3'], 'unknown key epoch (in the flag epoch=3); did you mean epochs?'),
    (['epochs'], "'epochs' is not of the form key=value"),
])
def test_bad_flags(called, request_file, capsys, arguments, sentence):
    assert cli.main(['train', request_file, *arguments]) == 2
    assert capsys.readouterr().err == 'chainer-kfac train: {}\n'.format(sentence)
    assert called == []


def test_a_missing_file(called, capsys):
    assert cli.main(['train', 'nowhere.yaml']) == 2
    assert capsys.readouterr().err == (
        'chainer-kfac train: cannot read nowhere.yaml: No such file or directory\n')


def test_the_configuration_of_a_run_directory_is_a_configuration(called, request_file, tmp_path):
    config = training.RunConfig.load(request_file)
    with training.run_directory.RunDirectory(tmp_path / 'run').opened(config):
        pass
    assert cli.main(['train', str(tmp_path / 'run' / 'config.yaml')]) == 0
    assert called[0][0][0] == config
