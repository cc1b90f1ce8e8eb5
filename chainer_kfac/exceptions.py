"""The errors that chainer_kfac raises for what a user can mend.

Each message is one sentence that names the value, the place and the remedy.
The command line prints it without a traceback and exits with ``exit_code``.
"""


class KFACError(Exception):
    """Base class of every error of this package that a user can mend."""

    exit_code = 2


class ConfigError(KFACError, ValueError):
    """A configuration, flag or argument that cannot be used."""


class DataError(KFACError):
    """A data set that is missing, damaged or not what it claims to be."""


class MissingDependency(KFACError, ImportError):
    """An optional package that the requested feature needs is not installed."""


class RunDirectoryError(KFACError):
    """A run directory that cannot be used, written or resumed."""


class DivergedError(KFACError):
    """Training met a NaN or an infinity that it could not recover from."""

    exit_code = 1
