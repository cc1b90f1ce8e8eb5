"""The import hook: patches run round a module's body, once, and leave no trace on it."""
import importlib
import importlib.util
import sys

import pytest

from chainer_kfac.compat.patches import Patch, PatchSet


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes and names a module that nobody has imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    # pytest rewrites modules that tests import, with one loader for all: leave it out
    sys.meta_path[:] = [finder for finder in sys.meta_path
                        if not type(finder).__module__.startswith('_pytest')]
    name = 'patched_by_test'
    monkeypatch.delitem(sys.modules, name, raising=False)

    def write(text):
        (tmp_path / (name + '.py')).write_text(text)
        importlib.invalidate_caches()
        return name

    yield write
    sys.modules.pop(name, None)


def recording(name, calls, changed=True):
    def note(what):
        calls.append((what, getattr(sys.modules.get(name), 'value', None)))
        return changed
    return Patch('p', name, 'because', before=lambda: note('before'), after=lambda: note('after'))


def test_patches_run_round_the_body(module):
    name = module('value = 1')
    calls = []
    patches = PatchSet([recording(name, calls)])
    patches.install()
    assert calls == []
    importlib.import_module(name)
    assert calls == [('before', None), ('after', 1)]
    assert [patch.name for patch in patches.applied] == ['p']


def test_a_loaded_module_is_patched_at_once_and_once(module):
    name = module('value = 1')
    importlib.import_module(name)
    calls = []
    patches = PatchSet([recording(name, calls)])
    assert patches.install() is patches.install()
    assert calls == [('before', 1), ('after', 1)]


def test_what_changes_nothing_is_not_listed(module):
    name = module('value = 1')
    patches = PatchSet([recording(name, [], changed=False)])
    patches.install()
    importlib.import_module(name)
    assert patches.applied == []


def test_looking_for_a_module_does_not_use_up_its_patches(module):
    name = module('value = 1')
    calls = []
    PatchSet([recording(name, calls)]).install()
    assert importlib.util.find_spec(name) is not None
    assert calls == []
    importlib.import_module(name)
    assert len(calls) == 2


def test_a_failed_import_can_be_repeated(module):
    name = module('raise RuntimeError("first")')
    calls = []
    PatchSet([recording(name, calls)]).install()
    with pytest.raises(RuntimeError, match='first'):
        importlib.import_module(name)
    assert [what for what, _ in calls] == ['before']
    module('value = 2')
    assert importlib.import_module(name).value == 2
    assert calls[-1] == ('after', 2)


def test_spec_and_loader_are_the_ordinary_ones(module):
    name = module('value = 1')
    PatchSet([recording(name, [])]).install()
    loaded = importlib.import_module(name)
    assert type(loaded.__loader__).__module__ != 'chainer_kfac.compat.hooks'
    assert loaded.__spec__.loader is loaded.__loader__
    assert loaded.__loader__.get_code(name) is not None
    assert importlib.reload(loaded).value == 1


def test_a_missing_module_stays_missing():
    PatchSet([recording('no_such_module_anywhere', [])]).install()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('no_such_module_anywhere')
    sys.meta_path.pop(0)


def test_a_loader_that_serves_many_modules(module):
    name = module('value = 1')
    calls = []
    loader = importlib.util.find_spec(name).loader

    class Finder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):
            if fullname == name:
                return importlib.util.spec_from_loader(name, loader)
            return None

    sys.meta_path.insert(0, Finder)
    PatchSet([recording(name, calls)]).install()
    for _ in range(2):
        importlib.util.find_spec(name)
    importlib.import_module(name)
    assert len(calls) == 2
