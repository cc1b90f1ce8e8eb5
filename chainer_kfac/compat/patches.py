"""What a patch is, and the set of patches that is applied as modules are imported."""
import contextlib
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from chainer_kfac.compat.hooks import ImportHook


class Patch(NamedTuple):
    """One repair of Chainer, or of a library as Chainer knew it.

    ``before`` runs just before the body of ``module``, ``after`` just after it. Each returns
    whether it had to change anything: a stack that still works is left alone and not listed.
    """

    name: str
    module: str
    reason: str
    before: Callable[[], bool] | None = None
    after: Callable[[], bool] | None = None


class PatchSet:
    """Patches, each of which is applied at most once in a process.

    Args:
        patches (iterable of Patch): applied in this order when several belong to one module.
    """

    def __init__(self, patches: Iterable[Patch]):
        self._patches = tuple(patches)
        self._applied = []
        self._hook = None

    @property
    def patches(self) -> list[Patch]:
        """All of them."""
        return list(self._patches)

    @property
    def applied(self) -> list[Patch]:
        """The patches that changed something, in the order of their application."""
        return list(self._applied)

    def install(self) -> ImportHook:
        """Patch the modules that are loaded already, and the others when they are imported."""
        if self._hook is None:
            modules = {patch.module for patch in self._patches}
            self._hook = ImportHook(modules, self.around)
            self._hook.install()
            for module in sorted(modules & set(sys.modules)):
                with self.around(module):
                    pass
        return self._hook

    @contextlib.contextmanager
    def around(self, module):
        """Context manager that applies the patches of ``module`` before and after its body."""
        patches = [patch for patch in self._patches if patch.module == module]
        for patch in patches:
            self._run(patch, patch.before)
        yield
        for patch in patches:
            self._run(patch, patch.after)

    def _run(self, patch, function):
        if function is not None and function() and patch not in self._applied:
            self._applied.append(patch)
