"""What can go wrong in a search and can be mended by its user."""
from chainer_kfac.exceptions import KFACError


class SearchError(KFACError):
    """A search, an experiment or a worker that cannot do what was asked."""


class ServerError(SearchError):
    """A database that cannot be reached or used."""


class RefusedTrial(SearchError):
    """A document in the database that is not a trial this worker may run."""
