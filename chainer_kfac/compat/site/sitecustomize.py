"""Patch Chainer in this process if it comes to import it.

The folder of this file is on PYTHONPATH of programs that ``python -m chainer_kfac.compat`` runs,
and of their children. Python imports it at its start, so it does nearly nothing: the patches, and
all else of chainer_kfac, are imported when the program imports NumPy, Chainer or the like.
"""
import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
_TRIGGERS = ('numpy', 'chainer', 'chainermn', 'cupy', 'onnx_chainer')


class _Trigger:
    """Meta path finder that installs the patches at the first of ``_TRIGGERS``, and leaves."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname not in _TRIGGERS:
            return None
        sys.meta_path.remove(cls)
        try:
            from chainer_kfac import compat
        except ImportError:
            sys.path.append(_PROJECT)     # a clone that is not installed, and not the directory
            try:
                from chainer_kfac import compat
            except ImportError:           # a child in an environment of its own, without Chainer
                sys.path.remove(_PROJECT)
                return None
        compat.install_for_programs()
        return importlib.util.find_spec(fullname)      # through the finders installed just now


def _next_sitecustomize():
    """Run the sitecustomize that this one hides, if there is one."""
    sys.path[:] = [entry for entry in sys.path if entry != _HERE]
    spec = importlib.machinery.PathFinder.find_spec('sitecustomize')
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules['sitecustomize'] = module
        spec.loader.exec_module(module)


# A child process may be another Python, for which this environment is not made.
if os.environ.get('CHAINER_KFAC_PYTHON') in (None, '{}.{}'.format(*sys.version_info)):
    sys.meta_path.insert(0, _Trigger)
_next_sitecustomize()
