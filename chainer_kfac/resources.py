"""Files that ship with the package but live beside it in a clone: ``experiments/``."""
from pathlib import Path

from chainer_kfac.exceptions import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def find(name: str) -> Path:
    """Path of a shipped file or folder, in a clone as in an installed package.

    A clone (also ``pip install -e``) has ``experiments/`` beside the package and that one is
    used, so that an edit takes effect. An installed package has a copy of it inside, which
    ``setup.py`` puts there. The current directory plays no part.

    Args:
        name (str): relative to the root of a clone, ``'experiments/table1.yaml'`` for instance.
    Returns:
        Path: absolute, exists.
    Raises:
        ConfigError: if there is no such file; the message lists what is in its folder.
    """
    root = _root()
    if (root / name).exists():
        return root / name
    folder = Path(name).parent
    known = sorted(path.name for path in (root / folder).glob('*'))
    raise ConfigError('{} is not part of chainer_kfac; {}/ has: {}'.format(
        name, folder, ', '.join(known) or 'nothing'))


def given(path: str) -> str:
    """A path that the user names: that file, else the shipped one of this name, if there is one.

    So that what the documentation names, ``experiments/quickstart.yaml``, is there everywhere.
    """
    shipped = _root() / path
    return str(shipped) if not Path(path).exists() and shipped.exists() else path


def _root():
    clone = _PACKAGE.parent
    return clone if (clone / 'setup.py').exists() else _PACKAGE
