"""Run patches around the execution of a module, at the moment somebody imports it.

Nothing is imported on anybody's behalf: a program that never imports Chainer pays for one
look-up an import and keeps an untouched NumPy.
"""
import importlib.abc
import sys


class ImportHook(importlib.abc.MetaPathFinder):
    """Meta path finder that calls ``around(name)`` as a context manager round a module's body.

    The module is found by the finders behind this one and loaded by its own loader, so
    ``__spec__``, ``__loader__`` and tracebacks are the ordinary ones.

    Args:
        names (collection of str): full names of the modules to watch.
        around (callable): ``around(name)`` returns a context manager; it is entered just before
            the module's body runs and left just after it.
    """

    def __init__(self, names, around):
        self._names = frozenset(names)
        self._around = around

    def install(self):
        """Put the hook first on ``sys.meta_path``."""
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._names:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1:]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._around)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Stands in for a module's loader until the module's body has to run."""

    def __init__(self, loader, around):
        self._loader = loader
        self._around = around

    def __getattr__(self, name):
        return getattr(self._loader, name)    # get_code for python -m, and the like

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        with self._around(module.__spec__.name):
            self._loader.exec_module(module)
