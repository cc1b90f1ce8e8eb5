"""``pkg_resources`` and ``numpy.distutils``, which Chainer imports and today's Python lacks.

setuptools 81 removed ``pkg_resources``; NumPy has no ``distutils`` on Python 3.12 and later.
Chainer wants them for two checks of the environment. Where the real ones import they are used.
Otherwise a stand-in with the few functions that Chainer calls is visible while the Chainer
module that wants it is imported, and to nobody else.
"""
import contextlib
import importlib
import importlib.metadata
import sys
import types
import warnings

from chainer_kfac.compat.patches import Patch


class ResolutionError(Exception):
    """A requirement that is not met."""


class DistributionNotFound(ResolutionError):
    """The distribution is not installed."""


class VersionConflict(ResolutionError):
    """Another version of the distribution is installed."""


def get_distribution(name):
    """The installed distribution ``name``; it has a ``version``."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise DistributionNotFound(name) from None


def require(*requirements):
    """The distributions that meet the requirements (``'cupy>=7.7.0,<8.0.0'``).

    Raises:
        DistributionNotFound: if one is not installed.
        VersionConflict: if one has another version.
    """
    from packaging.requirements import Requirement
    found = []
    for text in requirements:
        wanted = Requirement(text)
        distribution = get_distribution(wanted.name)
        if not wanted.specifier.contains(distribution.version, prereleases=True):
            raise VersionConflict('{} {} is installed, {} is wanted'.format(
                wanted.name, distribution.version, text))
        found.append(distribution)
    return found


class WorkingSet:
    """The installed distributions."""

    def require(self, *requirements):
        return require(*requirements)


def _pkg_resources():
    module = types.ModuleType('pkg_resources')
    for item in (ResolutionError, DistributionNotFound, VersionConflict, get_distribution,
                 require, WorkingSet):
        setattr(module, item.__name__, item)
    return {'pkg_resources': module}


def _numpy_distutils():
    package = types.ModuleType('numpy.distutils')
    package.system_info = types.ModuleType('numpy.distutils.system_info')
    package.system_info.get_info = lambda name, notfound_action=0: {}     # BLAS: nothing known
    return {'numpy.distutils': package, 'numpy.distutils.system_info': package.system_info}


class _StandIn:
    """Modules that are in ``sys.modules`` while one Chainer module is imported.

    Args:
        name (str): the real module to look for first.
        make (callable): returns ``{module name: stand-in}``.
    """

    def __init__(self, name, make):
        self._name = name
        self._make = make
        self._modules = {}
        self._hidden = {}

    def put(self):
        """Import the real module, or show the stand-ins. Returns whether it was the latter."""
        with warnings.catch_warnings():       # both real modules announce their own end
            warnings.simplefilter('ignore')
            with contextlib.suppress(ImportError):
                importlib.import_module(self._name)
                return False
        self._modules = self._make()
        self._hidden = {name: sys.modules[name] for name in self._modules if name in sys.modules}
        sys.modules.update(self._modules)
        return True

    def withdraw(self):
        """Hide the stand-ins again: other libraries take their presence for the real thing."""
        for name, module in self._modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        sys.modules.update(self._hidden)
        return False


def patches():
    """The stand-ins for each module of Chainer that imports one of the two.

    Returns:
        list of Patch.
    """
    result = []
    for user in ('chainer._environment_check', 'chainer.testing.helper',
                 'chainer.testing.doctest_helper'):
        stand_in = _StandIn('pkg_resources', _pkg_resources)
        result.append(Patch('pkg_resources', user,
                            'setuptools 81 and later do not have it',
                            before=stand_in.put, after=stand_in.withdraw))
    stand_in = _StandIn('numpy.distutils.system_info', _numpy_distutils)
    result.append(Patch('numpy.distutils',
                        'chainer._environment_check',
                        'NumPy does not have it on Python 3.12 and later',
                        before=stand_in.put, after=stand_in.withdraw))
    return result
