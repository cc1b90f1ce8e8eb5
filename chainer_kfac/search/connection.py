"""The way to the server: connect, check what answers, say in one sentence what is wrong."""
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search.address import Address, hide_secrets
from chainer_kfac.search.errors import ServerError

pymongo = require('pymongo', 'the search')
errors = require('pymongo.errors', 'the search')

logger = logging.getLogger(__name__)

OLDEST = 9, '4.4'
"""Lowest wire version that the search is written for, and the MongoDB that has it."""
PATIENCE = 3600.0
"""Seconds for which a lost server is waited for."""

_DEFAULTS = {'serverselectiontimeoutms': 5000, 'connecttimeoutms': 5000, 'appname': 'chainer_kfac',
             # PyMongo's own questions to an idle server; one that is needed is looked for at once
             'heartbeatfrequencyms': 30000,
             # without it a connection that is cut, not closed, hangs for ever
             'sockettimeoutms': 15000,
             # acknowledged means: on the disk of the server
             'journal': True}
_UNAUTHORISED, _WRONG_PASSWORD = 13, 18
_DISK_FULL = 14031
_SPEAKS_OF_TLS = ('SSL', 'TLS', 'certificate')


def connect(address: Address):
    """A client that has reached the server, passed its password and may read the database.

    Returns:
        pymongo.MongoClient
    Raises:
        ServerError: if not; one sentence without the password.
    """
    options = {name: value for name, value in _DEFAULTS.items() if name not in address.options}
    if address.password is not None:
        options['password'] = address.password
    try:
        client = pymongo.MongoClient(address.uri, **options)
        hello = client.admin.command('hello')
        client[address.database].jobs.find_one({}, projection=['_id'])
    except errors.PyMongoError as error:
        raise explain(error, address) from None
    if hello.get('maxWireVersion', 0) < OLDEST[0]:
        raise _too_old(address)
    _warn(address)
    return client


def explain(error: Exception, address: Address) -> ServerError:
    """What a PyMongo error means for the user, in one sentence."""
    said = hide_secrets(' '.join(str(error).split()).partition(', full error:')[0])
    if address.password:
        said = said.replace(address.password, '***')
    code = getattr(error, 'code', None)
    if code == _WRONG_PASSWORD:
        return ServerError('{} refuses the user name or the password: check both, and authSource, '
                           'the database that holds the user'.format(address))
    if code == _UNAUTHORISED:
        return ServerError('{} does not let this user do that ({}): give it a role of '
                           'docs/search.md on the database {}'.format(
                               address, said, address.database))
    if _is_about_the_disk(error):
        return ServerError('{} cannot write its files ({}): look whether its disk is full'.format(
            address, said))
    if 'wire version' in said:
        return _too_old(address) if 'requires at least' in said else ServerError(
            '{} is newer than this PyMongo: update PyMongo ({})'.format(address, said))
    if isinstance(error, errors.AutoReconnect):
        said = said.partition(' (configured timeouts')[0].partition(', Timeout:')[0]
        if any(word in said for word in _SPEAKS_OF_TLS):
            return ServerError('{} answers but the TLS handshake fails ({}): give the '
                               'certificate of its authority as tlsCAFile'.format(address, said))
        return ServerError('no MongoDB server answers at {} ({}): check that it runs, the port, '
                           'the firewall or the tunnel, and whether it wants tls=true'.format(
                               address, said))
    return ServerError('{} cannot be used: {}'.format(address, said))


def lasting(operation: Callable[[], Any], address: Address, patience: float = PATIENCE,
            pause: Callable[[float], Any] = time.sleep) -> Any:
    """Run a database operation, again and again while the server is away.

    The operation must be one that may run twice: an answer may be lost after the server acted.

    Args:
        operation (callable): without arguments.
        address (Address): for messages.
        patience (float): seconds after which to give up.
        pause (callable): waits; what it raises ends the waiting.
    Returns:
        what ``operation`` returns.
    Raises:
        ServerError: after ``patience``, or at once if waiting does not help.
    """
    deadline = time.monotonic() + patience
    delay = 0.1
    since = None
    while True:
        try:
            result = operation()
        except errors.PyMongoError as error:
            sentence = explain(error, address)
            if not is_passing(error) or time.monotonic() + delay > deadline:
                raise sentence from None
            if since is None:
                since = time.monotonic()
                logger.warning('%s; trying again for up to %.0f s', sentence, patience)
        else:
            if since is not None:
                logger.warning('the database is back after %.1f s', time.monotonic() - since)
            return result
        pause(delay * random.uniform(0.5, 1.0))
        delay = min(2 * delay, 5.0)


def is_passing(error: Exception) -> bool:
    """Whether the same operation may succeed later: a lost server, a full disk, a lock."""
    if isinstance(error, (errors.AutoReconnect, errors.WaitQueueTimeoutError,
                          errors.ExecutionTimeout)):
        return 'wire version' not in str(error)
    return _is_about_the_disk(error) or 'database is locked' in str(error)


def _is_about_the_disk(error):
    return getattr(error, 'code', None) == _DISK_FULL or any(
        said in str(error) for said in ('disk is full', 'disk I/O error'))


def _too_old(address):
    return ServerError('the server at {} is older than MongoDB {}: update it, or leave --mongo out '
                       'to use the server that comes with the search'.format(address, OLDEST[1]))


def _warn(address):
    """Say what others can do where the server does not ask who they are."""
    if address.loopback:
        return
    if not address.authenticated:
        logger.warning(
            '%s lets anybody in: whoever reaches it can read, change and delete every trial of '
            'this search (not run code in its workers); switch on authentication, or keep it on '
            'loopback behind an SSH tunnel', address)
    elif not address.encrypted:
        logger.warning('%s is reached without TLS: whoever is on the way can read and change the '
                       'trials; add tls=true, or use an SSH tunnel', address)
