"""The address of a MongoDB server, with its secrets kept apart from what may be shown."""
import dataclasses
import os
import re
import stat
import urllib.parse
from collections.abc import Mapping

from chainer_kfac.compat import require
from chainer_kfac.search.errors import ServerError

URI_VARIABLE = 'CHAINER_KFAC_MONGO'
PASSWORD_VARIABLE = 'CHAINER_KFAC_MONGO_PASSWORD'
DATABASE = 'chainer_kfac'
"""Name of the database when the address names none."""

_URI = re.compile(r'(?P<scheme>mongodb(?:\+srv)?://)(?:(?P<user>[^@/?]*)@)?'
                  r'(?P<hosts>[^@/?]+)(?:/(?P<database>[^/?]*))?(?:\?(?P<options>.*))?')
_SECRET_OPTIONS = ('tlscertificatekeyfilepassword', 'authmechanismproperties')


@dataclasses.dataclass(frozen=True)
class Address:
    """A server and a database.

    Attributes:
        uri (str): the whole address as PyMongo takes it, without the password.
        password (str or None): for the user that the address names.
    """

    uri: str = dataclasses.field(repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)

    def __str__(self):
        """The address as it may be shown and logged."""
        return hide_secrets(self.uri)

    @property
    def database(self) -> str:
        return _URI.fullmatch(self.uri)['database'] or DATABASE

    @property
    def options(self) -> Mapping[str, str]:
        """Options after the question mark, names in lower case."""
        pairs = urllib.parse.parse_qsl(_URI.fullmatch(self.uri)['options'] or '')
        return {name.lower(): value for name, value in pairs}

    @property
    def authenticated(self) -> bool:
        """Whether the address says who is asking: a user, or a client certificate."""
        return bool(_URI.fullmatch(self.uri)['user']) or 'authmechanism' in self.options

    @property
    def encrypted(self) -> bool:
        default = 'true' if self.uri.startswith('mongodb+srv') else 'false'
        return self.options.get('tls', self.options.get('ssl', default)) == 'true'

    @property
    def loopback(self) -> bool:
        """Whether every host is this machine, so that nobody else can listen on the way."""
        hosts = _URI.fullmatch(self.uri)['hosts'].split(',')
        return not self.uri.startswith('mongodb+srv') and all(map(_is_loopback, hosts))

    def variables(self) -> dict[str, str]:
        """Environment that hands this address to a child process, where `ps` does not show it."""
        variables = {URI_VARIABLE: self.uri}
        if self.password is not None:
            variables[PASSWORD_VARIABLE] = self.password
        return variables


def find(flag: str | None = None, password_file: str | os.PathLike | None = None,
         environment: Mapping[str, str] = os.environ) -> Address | None:
    """The address that the user means: the flag, else ``$CHAINER_KFAC_MONGO``, else None.

    The password is that in the file, else in ``$CHAINER_KFAC_MONGO_PASSWORD``, else in the
    address, if that comes from the environment.

    Raises:
        ServerError: if the address is not one, or a secret is where others can read it.
    """
    uri, place = (flag, '--mongo') if flag else (environment.get(URI_VARIABLE), '$' + URI_VARIABLE)
    if not uri:
        return None
    address = parse(uri, place, public=bool(flag))
    password = environment.get(PASSWORD_VARIABLE)
    if password_file is not None:
        password = _read_password(password_file)
    if password is None or address.password is not None and password_file is None:
        password = address.password
    if password is not None and not _URI.fullmatch(address.uri)['user']:
        if password_file is not None:
            raise ServerError('a password is given but the address of {} names no user: write '
                              'mongodb://USER@HOST/{}'.format(place, address.database))
        password = None
    return Address(address.uri, password)


def parse(uri: str, place: str = 'the address', public: bool = False) -> Address:
    """Take an address apart.

    Args:
        uri (str): ``mongodb://...`` or ``mongodb+srv://...``.
        place (str): where it comes from, for the message.
        public (bool): whether others can read that place, as they can a command line.
    Raises:
        ServerError: if PyMongo would refuse the address, or would leave a part of it unused.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ServerError('{} must be mongodb://[USER@]HOST[:PORT][/DATABASE][?OPTIONS] or '
                          'mongodb+srv://..., got {!r}; a /, ? or @ in a user name or password is '
                          'written %2F, %3F or %40'.format(place, hide_secrets(uri)))
    user, colon, password = (match['user'] or '').partition(':')
    bare = uri
    if colon:
        start, end = match.span('user')
        bare = uri[:start] + user + uri[end:]
    address = Address(bare, urllib.parse.unquote_plus(password) if colon else None)
    if public and (colon or any(name in address.options for name in _SECRET_OPTIONS)):
        raise ServerError('{} holds a password, which every user of this machine can read in the '
                          'process list: leave it out and put it into a file for --password-file '
                          'or into ${}'.format(place, PASSWORD_VARIABLE))
    _check_options(address, place)
    return address


def hide_secrets(text: str) -> str:
    """The text without the passwords of the addresses in it."""
    # Any scheme, and unescaped / and @ too: what is no address may still hold a secret.
    text = re.sub(r'(\w://[^:@/?\s]*):[^\s\'"]*@', r'\1:***@', text)
    for name in _SECRET_OPTIONS:
        text = re.sub(r'(?i)\b({}=)[^&\s\'"]*'.format(name), r'\1***', text)
    return text


def _check_options(address, place):
    """PyMongo's own check where it needs no network, and what the search itself needs."""
    uri_parser, errors = require('pymongo.uri_parser', 'the search'), require(
        'pymongo.errors', 'the search')
    try:
        if address.uri.startswith('mongodb+srv'):
            uri_parser.split_options(_URI.fullmatch(address.uri)['options'] or 'tls=true',
                                     warn=False)
        else:
            uri_parser.parse_uri(address.uri, warn=False)
    except (errors.PyMongoError, ValueError, TypeError) as error:
        raise ServerError('{} {} is not an address: {}'.format(
            place, address, hide_secrets(str(error)))) from None
    if address.options.get('w') == '0':
        raise ServerError('{} asks for w=0, but a search must know that a result was written: '
                          'leave it out'.format(place))
    if address.options.get('readpreference', 'primary') != 'primary':
        raise ServerError('{} asks for readPreference={}, but a search must read what it has just '
                          'written: leave it out'.format(place, address.options['readpreference']))


def _read_password(path):
    """First line of a file that nobody else may read."""
    try:
        mode = os.stat(path).st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ServerError('{} can be read by others (mode {:o}): chmod 600 it'.format(
                path, stat.S_IMODE(mode)))
        with open(path, encoding='utf-8') as stream:
            return stream.readline().rstrip('\r\n')
    except OSError as error:
        raise ServerError('cannot read the password file {}: {}'.format(
            path, error.strerror)) from error
    except UnicodeDecodeError:
        raise ServerError('the password file {} is not text in UTF-8: write the password into its '
                          'first line'.format(path)) from None


def _is_loopback(host):
    name = host[:host.index(']') + 1] if host.startswith('[') else host.split(':')[0]
    return (name in ('localhost', '[::1]') or name.startswith('127.')
            or name.lower().endswith('.sock'))
