"""What the patches put in place, and that they leave alone what works."""
import subprocess
import sys
import types

import numpy as np
import pytest

from chainer_kfac import compat
from chainer_kfac.compat import numpy2, packaging, repairs
from chainer_kfac.exceptions import MissingDependency


def python(code, *options):
    """Run code in a new interpreter; its output, or the failure as an assertion."""
    result = subprocess.run([sys.executable, *options, '-c', code], capture_output=True,
                            text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_package_alone_imports_neither_numpy_nor_chainer():
    assert python("import sys, chainer_kfac\n"
                  "print([name for name in ('numpy', 'chainer', 'cupy', 'mpi4py', 'pymongo')"
                  " if name in sys.modules])") == '[]'


def test_numpy_is_untouched_until_chainer_is_imported():
    assert python('import chainer_kfac, numpy\n'
                  'print(hasattr(numpy, "float_"))\n'
                  'import chainer\n'
                  'print(numpy.float_ is numpy.float64)').split() == ['False', 'True']


def test_importing_chainer_warns_of_nothing():
    python('import chainer_kfac, chainer, chainermn, chainer.testing', '-W', 'error')


def test_chainer_first_works_too_where_it_can_be_imported():
    python('import chainer_kfac.compat\nimport chainer\n'
           'compat = chainer_kfac.compat\n'
           'before = len(compat.applied())\n'
           'compat.install()\ncompat.install_for_programs()\n'
           'assert len(compat.applied()) == before, compat.applied()')


def test_stand_ins_are_withdrawn():
    assert python(
        'import sys\n'
        'sys.modules["pkg_resources"] = None\n'            # as with setuptools 81
        'sys.modules["numpy.distutils"] = None\n'          # as on Python 3.12
        'import chainer_kfac, chainer\n'
        'assert "numpy.distutils.system_info" not in sys.modules\n'
        'names = [patch.name for patch in chainer_kfac.compat.applied()]\n'
        'assert "pkg_resources" in names and "numpy.distutils" in names\n'
        'import chainer.testing\n'
        'print(chainer._environment_check.pkg_resources.__name__)\n'
        'assert chainer.testing.helper.pkg_resources.WorkingSet().require("numpy")\n'
        'print(sys.modules["pkg_resources"])').split() == ['pkg_resources', 'None']


def test_requirements():
    assert packaging.require('numpy>=1.9.0')[0].version == np.__version__
    with pytest.raises(packaging.VersionConflict, match='numpy'):
        packaging.require('numpy<1')
    with pytest.raises(packaging.DistributionNotFound):
        packaging.require('no-such-distribution')


OLD_NUMPY = types.SimpleNamespace(float=float, sctypes={'int': []}, float_=np.float64)


def test_names_that_numpy_has_are_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, 'numpy', OLD_NUMPY)
    assert not numpy2._restore('float_')
    assert not numpy2._restore('sctypes')
    assert OLD_NUMPY.sctypes == {'int': []}


@pytest.mark.parametrize(('name', 'value'), [
    ('float', float), ('int', int), ('object', object), ('complex_', np.complex128),
    ('unicode_', np.str_), ('Inf', np.inf), ('NINF', -np.inf)])
def test_old_names(name, value):
    import chainer  # noqa: F401  (brings them)
    assert getattr(np, name) == value


def test_old_functions():
    import chainer  # noqa: F401  (brings them)
    assert np.product([2, 3]) == 6
    assert np.asscalar(np.array([3])) == 3
    assert np.in1d([[1, 2]], [2]).tolist() == [False, True]
    assert np.asfarray([1]).dtype == float
    assert np.alltrue([True, False]) == False  # noqa: E712  (a NumPy scalar)
    assert np.trapz([1, 3]) == 2


def test_repairs_leave_an_old_stack_alone(monkeypatch):
    old = types.SimpleNamespace(
        meshgrid=lambda *args: [], ones=lambda n: 1.0, float64=np.float64,
        float32=np.float64)                                # float32 scalar * int was float64
    monkeypatch.setitem(sys.modules, 'numpy', old)
    assert not repairs.categorical_log_prob()
    assert not repairs.walker_alias_table()
    assert not repairs.multi_node_iterator_size()


def test_walker_alias_has_the_distribution_it_is_given():
    from chainer.utils import walker_alias
    weights = np.arange(1, 1001)
    sampler = walker_alias.WalkerAlias(weights)
    # each of the n columns holds 1/n: threshold times it for the first value, the rest for the 2nd
    share = np.zeros(1000)
    np.add.at(share, sampler.values[::2], sampler.threshold / 1000)
    np.add.at(share, sampler.values[1::2], (1 - sampler.threshold) / 1000)
    np.testing.assert_allclose(share, weights / weights.sum(), rtol=1e-3)
    assert sampler.threshold.dtype == np.float32


def test_require_returns_the_module():
    assert compat.require('json', 'tests').dumps([]) == '[]'


def test_require_names_the_extra():
    with pytest.raises(MissingDependency) as caught:
        compat.require('cupy.no_such_module', 'the inverse on the GPU')
    message = str(caught.value)
    assert 'the inverse on the GPU' in message
    assert "pip install 'chainer_kfac[cuda13]'" in message


def test_every_patch_has_a_reason():
    assert all(patch.reason and (patch.before or patch.after) for patch in compat.known())


def test_caffe_models_survive_the_round_trip(tmp_path):
    import chainer
    import chainer.functions as F
    import chainer.links as L
    from chainer.exporters import caffe
    from chainer.links.caffe import CaffeFunction

    class Net(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.conv = L.Convolution2D(1, 2, 3)
                self.bn = L.BatchNormalization(2)
                self.fc = L.Linear(8, 3)

        def forward(self, x):
            return F.softmax(self.fc(F.max_pooling_2d(F.relu(self.bn(self.conv(x))), 2)))

    model = Net()
    x = chainer.Variable(np.random.RandomState(0).rand(1, 1, 6, 6).astype('f'))
    with chainer.using_config('train', False):
        caffe.export(model, [x], str(tmp_path), True)
        loaded = CaffeFunction(str(tmp_path / 'chainer_model.caffemodel'))
        y, = loaded({'data': x.array}, outputs=[loaded.layers[-1][2][0]])
        np.testing.assert_allclose(y.array, model(x).array, rtol=1e-6)


def test_onnx_export(tmp_path):
    import chainer
    import onnx_chainer
    model = chainer.Sequential(chainer.links.Linear(3, 2), chainer.functions.relu)
    with chainer.using_config('train', False):
        exported = onnx_chainer.export(
            model, np.ones((1, 3), 'f'), filename=str(tmp_path / 'model.onnx'))
    assert [node.op_type for node in exported.graph.node] == ['Gemm', 'Relu']


def test_an_import_of_chainer_that_failed_needs_no_restart():
    """As in a notebook whose first cell imports Chainer without this package."""
    text = ('import numpy\n'
            'try:\n    import chainer\nexcept Exception:\n    pass\n'
            'import chainer_kfac\nimport chainer\nprint(chainer.Variable(numpy.ones(1)).array)')
    done = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == '[1.]', done.stderr
