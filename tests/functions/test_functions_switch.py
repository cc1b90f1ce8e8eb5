"""Switching the compiled nodes on and off, and what is true of them in Chainer's eyes."""
import copy
import os
import subprocess
import sys

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from chainer import function_hooks
from chainer.functions import convolution_2d as imported_before
from chainer.functions.activation.relu import ReLU
from chainer.functions.connection.convolution_2d import Convolution2DFunction

from chainer_kfac import functions
from chainer_kfac.functions import compilation
from chainer_kfac.models import LeNet5

X, W = np.ones((2, 3, 6, 6), np.float32), np.ones((4, 3, 3, 3), np.float32)


@pytest.fixture(autouse=True)
def _stock_before_and_after():
    with functions.using(False):
        yield


def is_compiled(node):
    return type(node).__module__.startswith('chainer_kfac.')


def test_off_until_enabled_and_after_disabled():
    assert not is_compiled(F.convolution_2d(X, W).creator)
    functions.enable()
    functions.enable()
    assert functions.enabled()
    assert is_compiled(F.convolution_2d(X, W).creator)
    functions.disable()
    functions.disable()
    assert not functions.enabled()
    node = F.convolution_2d(X, W).creator
    assert type(node) is Convolution2DFunction


def test_nested_blocks_and_errors_restore_what_was():
    with functions.using():
        with functions.using(False):
            assert not functions.enabled()
            with functions.using():
                assert functions.enabled()
            assert not functions.enabled()
        assert functions.enabled()
        with pytest.raises(KeyError), functions.using(False):
            raise KeyError
        assert functions.enabled()
    assert not functions.enabled()


def test_every_way_to_call_is_served():
    with functions.using():
        assert is_compiled(imported_before(X, W).creator)
        assert is_compiled(L.Convolution2D(3, 4, 3)(X).creator)
        assert is_compiled(Convolution2DFunction(1, 0))
        assert is_compiled(L.DilatedConvolution2D(3, 4, 3)(X).creator)


def test_nodes_are_what_hooks_look_for():
    with functions.using(), function_hooks.TimerHook() as timer:
        y = F.relu(F.convolution_2d(X, W))
    assert isinstance(y.creator, ReLU)
    convolution = y.creator.inputs[0].creator
    assert isinstance(convolution, Convolution2DFunction)
    assert convolution.label == 'Convolution2DFunction'
    assert set(timer.summary()) == {'Convolution2DFunction', 'ReLU'}


def test_a_subclass_of_the_user_stays_one():
    class Mine(Convolution2DFunction):
        pass

    with functions.using():
        assert type(Mine(1, 0)) is Mine


def test_a_graph_built_before_switching_can_be_used_after():
    x = chainer.Variable(X)
    with functions.using():
        y = F.sum(F.max_pooling_2d(F.relu(F.convolution_2d(x, W)), 2))
    y.backward()
    fast, x.grad = x.grad, None
    y = F.sum(F.max_pooling_2d(F.relu(F.convolution_2d(x, W)), 2))
    with functions.using():
        y.backward()
    np.testing.assert_allclose(fast, x.grad, rtol=1e-6)


def test_update_rules_survive_a_copy_of_the_model():
    with functions.using():
        model = L.Linear(3, 2)
        chainer.optimizers.MomentumSGD().setup(model)
    clone = copy.deepcopy(model)
    assert type(clone.W.update_rule) is type(model.W.update_rule)


def test_nan_is_found_in_debug_mode():
    with functions.using(), chainer.using_config('debug', True), \
            pytest.raises(RuntimeError, match='NaN is detected'):
        F.convolution_2d(X * np.nan, W)


def test_training_equals_chainer_within_rounding():
    def train(fast, make):
        np.random.seed(0)
        with functions.using(fast):
            model = L.Classifier(LeNet5())
            optimizer = make().setup(model)
            x = np.random.standard_normal((6, 3, 28, 28)).astype(np.float32)
            losses = []
            for _ in range(3):
                optimizer.update(model, x, np.arange(6, dtype=np.int32))
                losses.append(float(model.loss.array))
        return losses, model

    for make in (lambda: chainer.optimizers.MomentumSGD(0.01), chainer.optimizers.Adam):
        (fast, fast_model), (stock, stock_model) = train(True, make), train(False, make)
        np.testing.assert_allclose(fast, stock, rtol=1e-4)
        if make is not chainer.optimizers.Adam:  # it magnifies rounding where gradients are 0
            for a, b in zip(fast_model.params(), stock_model.params(), strict=True):
                np.testing.assert_allclose(a.array, b.array, rtol=1e-3, atol=1e-5)


COUNT_COMPILATIONS = '''
import time
import chainer_kfac
from chainer_kfac import functions
from chainer_kfac.functions import compilation
import numba.core.dispatcher as d
functions.enable()
import chainer.functions as F, numpy as np
from chainer_kfac.functions import (
    convolution_kernels, elementwise_kernels, pooling_kernels, update_kernels)
kernels = [k for m in (convolution_kernels, elementwise_kernels, pooling_kernels, update_kernels)
           for k in vars(m).values() if isinstance(k, d.Dispatcher) and k.signatures]
x = np.ones((2, 3, 9, 9), np.float32)
F.sum(F.relu(F.convolution_2d(x, np.ones((4, 3, 3, 3), np.float32)))).backward()
assert kernels and all(len(k.signatures) == 1 for k in kernels)
print(sum(sum(k.stats.cache_misses.values()) for k in kernels))
'''


def compilations(environment):
    """Kernels that a new process compiles."""
    result = subprocess.run([sys.executable, '-c', COUNT_COMPILATIONS], env=environment, text=True,
                            capture_output=True, check=True)
    return int(result.stdout)


def test_a_second_process_compiles_nothing():
    functions.warm_up()
    assert compilations(dict(os.environ)) == 0


@pytest.mark.parametrize('broken', [('NUMBA_CACHE_DIR',), ('NUMBA_CACHE_DIR', 'XDG_CACHE_HOME')])
def test_the_cache_goes_where_it_can_be_written(tmp_path, monkeypatch, broken):
    (tmp_path / 'file').write_text('')
    for name in ('NUMBA_CACHE_DIR', 'XDG_CACHE_HOME'):
        monkeypatch.setenv(name, str(tmp_path / ('file/x' if name in broken else name)))
    monkeypatch.setattr(compilation, '_make_writable', _outside_the_package)
    directory = compilation.cache_directory()
    assert directory.is_dir()
    assert ('XDG_CACHE_HOME' in str(directory)) == ('XDG_CACHE_HOME' not in broken)


def _outside_the_package(directory):
    return compilation._SOURCES not in directory.parents and _original(directory)


_original = compilation._make_writable
