"""Passwords, TLS, roles and servers of the wrong kind: a real server that has them."""
import datetime
import socket
import struct
import subprocess
import sys
import threading

import bson
import pymongo
import pytest

from chainer_kfac.search import address, connection, lease
from chainer_kfac.search.documents import DONE
from chainer_kfac.search.errors import ServerError
from chainer_kfac.search.store import Store

pytestmark = pytest.mark.mongo

SECRET = 'p@ss/w:rd %'
QUICK = 'serverSelectionTimeoutMS=1500'


@pytest.fixture
def locked(make_server):
    """A server that wants a password; its users: ``driver`` and ``reader``."""
    server = make_server('secantus')
    with pymongo.MongoClient(server.uri) as client:
        for user, role in (('driver', 'readWrite'), ('reader', 'read')):
            client.kfac_test.command('createUser', user, pwd=SECRET,
                                     roles=[{'role': role, 'db': 'kfac_test'}])
    server.stop()
    server.start('--auth')
    return server


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / 'password'
    path.write_text(SECRET + '\n')
    path.chmod(0o600)
    return path


def at(server, user, password):
    uri = server.uri.replace('mongodb://', 'mongodb://{}@'.format(user)) + '?' + QUICK
    return address.Address(uri, password)


def test_the_right_password_works_from_a_worker_process_and_is_nowhere_to_be_seen(
        locked, begin, enqueue, start_worker, eventually, password_file, tmp_path):
    store = Store.open(at(locked, 'driver', SECRET))
    store.create_indexes()
    enqueue(store, begin(store, settings={'seconds': 1.0}), 1)
    process = start_worker('', '--mongo', at(locked, 'driver', None).uri, '--password-file',
                           password_file, '--max-trials', 1)
    eventually(lambda: store.jobs.find_one({'owner': {'$ne': None}}))
    shown = subprocess.run(['ps', 'axeww'], capture_output=True, text=True, check=True).stdout
    assert str(password_file) in shown
    assert SECRET not in shown
    assert process.wait(60) == 0, process.log.read_text()
    assert store.jobs.find_one()['state'] == DONE
    files = [path for path in tmp_path.rglob('*')
             if path.is_file() and path != password_file and 'server' not in str(path)]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(('user', 'password'), [('driver', 'wrong'), ('nobody', SECRET)])
def test_a_wrong_password_is_one_sentence(locked, user, password, start_worker):
    with pytest.raises(ServerError) as caught:
        Store.open(at(locked, user, password))
    assert 'refuses the user name or the password' in str(caught.value)
    assert password not in str(caught.value)
    process = start_worker(at(locked, user, None).uri, CHAINER_KFAC_MONGO_PASSWORD=password)
    assert process.wait(60) == 2
    said = process.log.read_text().strip()
    assert said.startswith('chainer-kfac worker: ')
    assert '\n' not in said
    assert password not in said


def test_no_password_where_one_is_wanted(locked):
    with pytest.raises(ServerError, match='role|password'):
        Store.open(address.Address(locked.uri + '?' + QUICK))


def test_a_user_who_may_only_read_is_told_which_role_is_missing(locked):
    store = Store.open(at(locked, 'reader', SECRET))
    with pytest.raises(ServerError, match='does not let this user do that.*role'):
        connection.lasting(store.create_indexes, store.address)


@pytest.fixture(scope='module')
def certificates(tmp_path_factory):
    """An authority of its own, and a certificate for 127.0.0.1 from it."""
    folder = tmp_path_factory.mktemp('tls')

    def openssl(*arguments):
        subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)

    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem',
            '-days', '2', '-subj', '/CN=test authority')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'request.pem',
            '-subj', '/CN=127.0.0.1')
    (folder / 'san').write_text('subjectAltName=IP:127.0.0.1\n')
    openssl('x509', '-req', '-in', 'request.pem', '-CA', 'ca.pem', '-CAkey', 'ca.key',
            '-CAcreateserial', '-days', '2', '-extfile', 'san', '-out', 'cert.pem')
    return folder


@pytest.fixture
def encrypted(make_server, certificates):
    return make_server('secantus', '--tls-cert-file', certificates / 'cert.pem',
                       '--tls-key-file', certificates / 'key.pem')


def test_tls_is_used_and_checked(encrypted, certificates, begin, enqueue, start_worker):
    uri = '{}?tls=true&tlsCAFile={}&{}'.format(encrypted.uri, certificates / 'ca.pem', QUICK)
    store = Store.open(address.parse(uri))
    enqueue(store, begin(store), 1)
    assert start_worker(uri, '--max-trials', 1).wait(60) == 0
    assert store.jobs.find_one()['state'] == DONE


def test_tls_without_the_authority_or_without_tls(encrypted):
    with pytest.raises(ServerError, match='TLS handshake fails.*tlsCAFile'):
        Store.open(address.parse('{}?tls=true&{}'.format(encrypted.uri, QUICK)))
    with pytest.raises(ServerError, match='tls=true'):
        Store.open(address.parse('{}?{}'.format(encrypted.uri, QUICK)))


def test_tls_against_a_server_without_it(nx):
    with pytest.raises(ServerError, match='TLS handshake fails|no MongoDB server answers'):
        Store.open(address.parse('{}?tls=true&{}'.format(nx.uri, QUICK)))


class OldServer:
    """Answers every request as a MongoDB of some wire version would answer ``hello``."""

    def __init__(self, version):
        self._version = version
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client):
        with client:
            while header := client.recv(16):
                length, request, _, opcode = struct.unpack('<iiii', header)
                while length > 16:
                    length -= len(client.recv(length - 16))
                body = bson.encode({
                    'ok': 1.0, 'ismaster': True, 'isWritablePrimary': True, 'minWireVersion': 0,
                    'maxWireVersion': self._version, 'maxBsonObjectSize': 2**24,
                    'maxMessageSizeBytes': 48000000, 'maxWriteBatchSize': 1000,
                    'localTime': datetime.datetime(2020, 1, 1),
                    'cursor': {'id': 0, 'ns': 'a.b', 'firstBatch': []}})
                reply = (struct.pack('<iqii', 8, 0, 0, 1) + body if opcode == 2004
                         else struct.pack('<ib', 0, 0) + body)
                client.sendall(struct.pack('<iiii', 16 + len(reply), 1, request,
                                           1 if opcode == 2004 else 2013) + reply)

    def close(self):
        self._listener.close()


@pytest.mark.filterwarnings('ignore')  # PyMongo's own, about servers that it will drop
@pytest.mark.parametrize('version', [5, 8])
def test_an_old_server_is_one_sentence(version):
    server = OldServer(version)
    try:
        found = address.parse('mongodb://127.0.0.1:{}/x?{}'.format(server.port, QUICK))
        with pytest.raises(ServerError, match='older than MongoDB 4.4') as caught:
            Store.open(found)
        assert '\n' not in str(caught.value)
    finally:
        server.close()


@pytest.mark.parametrize(('uri', 'said'), [
    ('mongodb://127.0.0.1/x', None), ('mongodb://db.example.org/x', 'lets anybody in'),
    ('mongodb://u@db.example.org/x', 'without TLS'),
    ('mongodb://u@db.example.org/x?tls=true', None)])
def test_what_an_open_server_exposes_is_said(uri, said, caplog):
    connection._warn(address.parse(uri))
    assert (said in caplog.text) if said else not caplog.text


def test_trials_that_stock_hyperopt_stored_are_not_touched(nx_store):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (sys.exit, (99,))

    nx_store.jobs.insert_one({'exp_key': 'old', 'tid': 0, 'state': 0, 'owner': None, 'version': 0,
                              'misc': {'tid': 0, 'cmd': ['cpickled fn', pickle.dumps(Bomb())],
                                       'idxs': {}, 'vals': {}}})
    assert lease.reserve(nx_store, 'w') is None
    assert nx_store.jobs.find_one()['state'] == 0
