"""What an installed package carries, and where its files are found."""
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chainer_kfac import resources
from chainer_kfac.exceptions import ConfigError

ROOT = Path(__file__).parents[1]


def test_a_clone_uses_its_own_experiments():
    assert resources.find('experiments/table1.yaml') == ROOT / 'experiments/table1.yaml'


def test_an_unknown_file_is_named_with_its_neighbours():
    with pytest.raises(ConfigError, match=r'experiments/tabel1\.yaml .* table1\.yaml'):
        resources.find('experiments/tabel1.yaml')


def test_an_installed_package_has_all_that_a_clone_has(tmp_path):
    built = tmp_path / 'lib'
    subprocess.run([sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', str(built)],
                   cwd=ROOT, check=True, capture_output=True)
    shipped = [path for folder in ('chainer_kfac', 'experiments', 'jobscripts')
               for path in (ROOT / folder).rglob('*')
               if path.is_file() and '__pycache__' not in path.parts and path.name != 'env.sh']
    for path in shipped:
        name = path.relative_to(ROOT)
        copy = built / (name if name.parts[0] == 'chainer_kfac' else Path('chainer_kfac') / name)
        assert copy.read_bytes() == path.read_bytes()
    found = subprocess.run(
        [sys.executable, '-c', 'from chainer_kfac import resources\n'
                               'print(resources.find("experiments/table1.yaml"))'],
        cwd=built, check=True, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == built / 'chainer_kfac/experiments/table1.yaml'


def test_every_folder_is_a_room_and_every_room_a_layer():
    """The order of the rooms in pyproject.toml leaves none out (import-linter checks the rest)."""
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    contract = settings['tool']['importlinter']['contracts'][0]
    layers = {name for layer in contract['layers'] for name in layer.split(' : ')}
    rooms = {path.stem for path in (ROOT / 'chainer_kfac').iterdir()
             if path.suffix == '.py' or (path / '__init__.py').exists()}
    assert rooms - {'__init__'} == layers
