"""The small network is in the registry while these tests run, and nowhere else."""
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))  # for training_support, which is also a program

import training_support  # noqa: E402

from chainer_kfac import models  # noqa: E402


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(models.REGISTRY, 'tiny', training_support.Tiny)
