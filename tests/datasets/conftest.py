import sys
from pathlib import Path

import chainer
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helper module of this room's tests

import small_cifar  # noqa: E402

from chainer_kfac.datasets import cifar10, download  # noqa: E402


@pytest.fixture
def dataset_root(tmp_path):
    """An empty Chainer data set root."""
    before = chainer.dataset.get_dataset_root()
    chainer.dataset.set_dataset_root(str(tmp_path / 'root'))
    yield tmp_path / 'root'
    chainer.dataset.set_dataset_root(before)


@pytest.fixture
def small(monkeypatch, dataset_root):
    """The loader expects the small CIFAR-10; no network; the path where its cache belongs."""
    small_cifar.shrink(monkeypatch)
    monkeypatch.setattr(cifar10, 'URL', 'http://127.0.0.1:9/nothing-listens-here')
    monkeypatch.setattr(download, 'PAUSE', 0.0)
    path = cifar10.cache_path()
    path.parent.mkdir(parents=True)
    return path
