"""Run patches around the execution of a module, at the moment somebody imports it.

Nothing is imported on anybody's behalf: a program that never imports Chainer pays for one
dictionary look-up an import and keeps an untouched NumPy.
"""
import importlib.abc
import importlib.util
import sys
import threading


class ImportHook(importlib.abc.MetaPathFinder):
    """Meta path finder that calls ``around(name)`` as a context manager round a module's body.

    The module is found by the finders behind this one and loaded by its own loader, so
    ``__spec__``, ``__loader__`` and tracebacks are the ordinary ones.

    Args:
        names (collection of str): full names of the modules to watch.
        around (callable): ``around(name)`` returns a context manager; it is entered just before
            the module's body runs and left just after it, also when the body raised.
    """

    def __init__(self, names, around):
        self._names = frozenset(names)
        self._around = around
        self._searching = threading.local()

    def install(self):
        """Put the hook first on ``sys.meta_path``."""
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._names or getattr(self._searching, 'name', None) == fullname:
            return None
        self._searching.name = fullname       # the search below passes here again: let it through
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching.name = None
        if spec is not None and spec.loader is not None:
            self._wrap(spec.loader, fullname)
        return spec

    def _wrap(self, loader, name):
        run_body = loader.exec_module

        def exec_module(module):
            del loader.exec_module            # from here on the loader is as it was
            with self._around(name):
                run_body(module)

        loader.exec_module = exec_module      # on this one instance, made for this one import
