"""Addresses: everything reaches PyMongo, no secret reaches a reader."""
import pytest

from chainer_kfac.search import address
from chainer_kfac.search.errors import ServerError

SECRET = 'p/w@:%x'
QUOTED = 'p%2Fw%40%3A%25x'


def test_whole_address_is_kept():
    uri = 'mongodb://u@h1:1,h2:2/base?tls=true&authSource=admin&replicaSet=r'
    found = address.parse(uri)
    assert (found.uri, found.password, found.database) == (uri, None, 'base')
    assert found.options == {'tls': 'true', 'authsource': 'admin', 'replicaset': 'r'}


def test_password_is_taken_out_and_decoded():
    found = address.parse('mongodb://user:{}@host/base?tls=true'.format(QUOTED))
    assert found.uri == 'mongodb://user@host/base?tls=true'
    assert found.password == SECRET
    for text in (str(found), repr(found), found.uri):
        assert SECRET not in text
        assert QUOTED not in text


@pytest.mark.parametrize('uri', [
    'mongo://host/base', 'host:27017', 'mongodb://host:99999/b', 'mongodb://host/a b',
    'mongodb://host/?bogus=1', 'mongodb://host/?tls=maybe', 'mongodb://host/?w=0',
    'mongodb://host/?readPreference=secondary', 'mongodb+srv://host/?bogus=1', 'mongodb://'])
def test_what_pymongo_would_refuse_or_leave_unused_is_an_error(uri):
    with pytest.raises(ServerError) as caught:
        address.parse(uri, 'ADDRESS')
    assert str(caught.value).startswith('ADDRESS')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('uri', [
    'mongodb://user:{}@host/?bogus=1', 'mongodb://user:{}@host:99999/', 'mongo://user:{}@host/',
    'mongodb://user:{}@/x'])
@pytest.mark.parametrize('secret', [QUOTED, 'hunter2', 'p@ss/word'])
def test_errors_hide_the_password(uri, secret):
    with pytest.raises(ServerError) as caught:
        address.parse(uri.format(secret))
    assert secret not in str(caught.value)


def test_a_password_on_the_command_line_is_refused():
    for uri in ('mongodb://user:hunter2@host/', 'mongodb://user:@host/',
                'mongodb://host/?tlsCertificateKeyFilePassword=hunter2'):
        with pytest.raises(ServerError, match='process list') as caught:
            address.find(uri, environment={})
        assert 'hunter2' not in str(caught.value)


def test_environment_may_hold_address_and_password():
    uri = 'mongodb://user:hunter2@host/'
    assert address.find(environment={}) is None
    assert address.find(environment={'CHAINER_KFAC_MONGO': uri}).password == 'hunter2'
    found = address.find('mongodb://user@host/',
                         environment={'CHAINER_KFAC_MONGO_PASSWORD': 'other'})
    assert found.password == 'other'
    assert found.variables() == {'CHAINER_KFAC_MONGO': 'mongodb://user@host/',
                                 'CHAINER_KFAC_MONGO_PASSWORD': 'other'}


def test_a_password_without_a_user_is_not_passed_on():
    found = address.find('mongodb://host/', environment={'CHAINER_KFAC_MONGO_PASSWORD': 'other'})
    assert found.password is None


def test_password_file(tmp_path):
    path = tmp_path / 'password'
    path.write_text(SECRET + '\n')
    path.chmod(0o600)
    assert address.find('mongodb://user@host/', path, {}).password == SECRET
    with pytest.raises(ServerError, match='names no user'):
        address.find('mongodb://host/', path, {})
    path.chmod(0o640)
    with pytest.raises(ServerError, match='chmod 600'):
        address.find('mongodb://user@host/', path, {})
    path.chmod(0o600)
    path.write_bytes(b'\xff\xfe')
    with pytest.raises(ServerError, match='is not text in UTF-8'):
        address.find('mongodb://user@host/', path, {})
    with pytest.raises(ServerError, match='cannot read the password file'):
        address.find('mongodb://user@host/', tmp_path / 'missing', {})


@pytest.mark.parametrize(('uri', 'loopback', 'authenticated', 'encrypted'), [
    ('mongodb://localhost', True, False, False),
    ('mongodb://127.0.0.1:1,[::1]:2/', True, False, False),
    ('mongodb://%2Ftmp%2Fmongodb-27017.sock', True, False, False),
    ('mongodb://127.0.0.1,db.example.org', False, False, False),
    ('mongodb://user@db.example.org/?tls=true', False, True, True),
    ('mongodb+srv://user@db.example.org/', False, True, True),
    ('mongodb+srv://user@db.example.org/?tls=false', False, True, False),
    ('mongodb://h/?authMechanism=MONGODB-X509&tls=true', False, True, True)])
def test_who_can_listen(uri, loopback, authenticated, encrypted):
    found = address.parse(uri)
    assert (found.loopback, found.authenticated, found.encrypted) == (
        loopback, authenticated, encrypted)


def test_hide_secrets_leaves_the_rest():
    text = 'at mongodb://u:p@h/x?tls=true and mongodb+srv://v:q@h2, not mongodb://h3'
    assert address.hide_secrets(text) == (
        'at mongodb://u:***@h/x?tls=true and mongodb+srv://v:***@h2, not mongodb://h3')
