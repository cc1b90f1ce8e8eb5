"""What must hold on every supported Python: all of it imports, and every optimizer steps."""
import contextlib
import importlib
import pkgutil

import chainer
import chainer.functions as F
import numpy as np
import pytest

import chainer_kfac
from chainer_kfac.exceptions import MissingDependency

MODULES = [module.name for module in pkgutil.walk_packages(
    chainer_kfac.__path__, 'chainer_kfac.') if not module.name.endswith('__main__')]


@pytest.mark.parametrize('name', MODULES)
def test_import(name):
    allowed = MissingDependency if name.startswith('chainer_kfac.search') else ()
    with contextlib.suppress(allowed):
        importlib.import_module(name)


def optimizers():
    """Chainer's optimizers and this package's, with their default hyperparameters."""
    for name in sorted(vars(chainer.optimizers)):
        if name[0].isupper():
            yield getattr(chainer.optimizers, name)
    yield chainer_kfac.optimizers.KFAC


@pytest.mark.parametrize('optimizer', list(optimizers()), ids=lambda cls: cls.__name__)
def test_training_step(optimizer):
    np.random.seed(0)
    x = np.random.normal(size=(8, 3, 8, 8)).astype(np.float32)
    t = np.arange(8, dtype=np.int32) % 2
    model = chainer.Sequential(
        chainer.links.Convolution2D(3, 4, 3), F.relu, chainer.links.Linear(None, 2))
    instance = optimizer().setup(model)
    instance.update(lambda: F.softmax_cross_entropy(model(x), t))   # fixes the sizes
    before = [param.array.copy() for param in model.params()]
    instance.update(lambda: F.softmax_cross_entropy(model(x), t))
    for old, param in zip(before, model.params(), strict=True):
        assert param.dtype == np.float32
        assert np.isfinite(param.array).all()
        assert (param.array != old).any()
