"""One conformance class for all extensions of a run: what has state brings it back."""
import importlib
import inspect
import pkgutil
import types

import chainer
import numpy as np
import pytest
from chainer import serializers
from chainer.training import extension
from training_support import ALONE, Tiny

from chainer_kfac.communicators.traffic import Traffic
from chainer_kfac.training import extensions
from chainer_kfac.training.stop import Stop


def _trainer(accuracy):
    model = Tiny(10, 0.0)
    model(np.ones((1, 3, 28, 28), np.float32))
    optimizer = chainer.optimizers.SGD().setup(model)
    updater = types.SimpleNamespace(epoch=3, iteration=5, is_new_epoch=True,
                                    get_optimizer=lambda name: optimizer,
                                    get_all_optimizers=lambda: {'main': optimizer})
    return types.SimpleNamespace(updater=updater, is_before_training=False, observation={
        'validation/main/accuracy': accuracy, 'main/loss': np.float32(1.0)})


def _model():
    return _trainer(0).updater.get_optimizer('main').target


def _float16_optimizer():
    with chainer.using_config('dtype', np.float16):
        model = Tiny(10, 0.0)
        optimizer = chainer.optimizers.MomentumSGD().setup(model)
        optimizer.use_fp32_update()
        x = np.ones((2, 3, 28, 28), np.float16)
        optimizer.update(lambda: chainer.functions.sum(model(x) ** 2))
    return optimizer


def _masters(optimizer):
    return {name: param.update_rule._fp32_param.array
            for name, param in optimizer.target.namedparams()}


class _Case:
    """How to make an extension, give it a state and look at it."""

    def __init__(self, make, change=lambda made: None, state=lambda made: None):
        self.make, self.change, self.state = make, change, state


CASES = {
    'BestEpoch': _Case(
        lambda: extensions.BestEpoch(_model()), lambda made: made(_trainer(0.5)),
        lambda made: (made.epoch, made.accuracy, made._weights)),
    'Communication': _Case(lambda: extensions.Communication(
        types.SimpleNamespace(traffic=Traffic()))),
    'Curvature': _Case(lambda: extensions.Curvature([1], ALONE)),
    'EpochCallback': _Case(lambda: extensions.EpochCallback(
        print, Stop(1, ALONE), ALONE)),
    'EpochLine': _Case(lambda: importlib.import_module(
        'chainer_kfac.training.extensions.progress').EpochLine(3)),
    'Evaluator': _Case(lambda: extensions.Evaluator(
        {}, Tiny(10, 0.0), None, None, ALONE)),
    'FailOnDivergence': _Case(lambda: extensions.FailOnDivergence(ALONE)),
    'LearningRate': _Case(lambda: extensions.LearningRate('lr')),
    'MasterWeights': _Case(lambda: extensions.MasterWeights(_float16_optimizer()),
                           state=lambda made: _masters(made._optimizer)),
    'PeakMemory': _Case(
        lambda: extensions.PeakMemory(ALONE), lambda made: made(_trainer(0.5)),
        lambda made: made.megabytes),
    'RandomState': _Case(
        lambda: extensions.RandomState(0, ALONE), lambda made: np.random.standard_normal(3),
        lambda made: np.random.get_state()),
    'SharedLog': _Case(
        lambda: extensions.SharedLog(ALONE, lambda trainer: False, 'log'),
        lambda made: made(_trainer(0.5)),
        lambda made: made._summary.compute_mean()),
    'SameData': _Case(lambda: extensions.SameData('a' * 64)),
}


@pytest.fixture(autouse=True)
def _random_state():
    state = np.random.get_state()
    yield
    np.random.set_state(state)


def _found():
    for module in pkgutil.iter_modules(extensions.__path__, extensions.__name__ + '.'):
        for name, value in vars(importlib.import_module(module.name)).items():
            if (inspect.isclass(value) and issubclass(value, extension.Extension)
                    and value.__module__ == module.name):
                yield name


def test_every_extension_is_listed():
    assert sorted(_found()) == sorted(CASES)


@pytest.mark.parametrize('name', sorted(CASES))
class TestConformance:
    def test_save_and_load_brings_the_state_back(self, name):
        case = CASES[name]
        first = case.make()
        case.change(first)
        saved = serializers.DictionarySerializer()
        saved.save(first)
        arrays = {key: np.array(value) for key, value in saved.target.items()}
        expected = _frozen(case.state(first))
        second = case.make()
        if expected is not None:
            np.random.standard_normal(1)
            assert not _equal(case.state(second), expected)  # else nothing would be tested
        serializers.NpzDeserializer(arrays).load(second)
        assert _equal(case.state(second), expected)

    def test_what_has_no_state_adds_nothing_to_the_snapshot(self, name):
        saved = serializers.DictionarySerializer()
        saved.save(CASES[name].make())
        assert bool(saved.target) == (name in ('BestEpoch', 'MasterWeights', 'PeakMemory',
                                               'RandomState', 'SameData', 'SharedLog'))


def _frozen(state):
    if isinstance(state, dict):
        return {key: _frozen(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return tuple(map(_frozen, state))
    return np.array(state) if isinstance(state, np.ndarray) else state


def _equal(got, expected):
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(
            _equal(got[key], expected[key]) for key in expected)
    if isinstance(expected, tuple):
        return len(got) == len(expected) and all(map(_equal, got, expected))
    return np.array_equal(got, expected)
