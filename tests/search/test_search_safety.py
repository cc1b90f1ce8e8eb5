"""Passwords, TLS, roles and servers of the wrong kind: a real server that has them."""
import datetime
import pathlib
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import types

import bson
import dns.name
import dns.resolver
import pymongo
import pytest
from pymongo import monitoring

from chainer_kfac.search import address, connection, lease, objectives
from chainer_kfac.search.documents import DONE
from chainer_kfac.search.errors import ServerError
from chainer_kfac.search.found import Found
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.search.store import Store
from chainer_kfac.search.worker import Worker

pytestmark = pytest.mark.mongo

SECRET = 'p@ss/w:rd %'
QUICK = 'serverSelectionTimeoutMS=1500'


@pytest.fixture(scope='module')
def shared_lock(server_type, tmp_path_factory):
    server = server_type('secantus', tmp_path_factory.mktemp('server')).start()
    with pymongo.MongoClient(server.uri) as client:
        for user, role in (('driver', 'readWrite'), ('reader', 'read')):
            client.kfac_test.command('createUser', user, pwd=SECRET,
                                     roles=[{'role': role, 'db': 'kfac_test'}])
    server.stop()
    server.start('--auth')
    yield server
    server.stop()


@pytest.fixture
def locked(shared_lock):
    """A server that wants a password; its users: ``driver`` and ``reader``."""
    store = Store.open(at(shared_lock, 'driver', SECRET))
    for name in store.database.list_collection_names():
        store.database[name].delete_many({})
    store.close()
    return shared_lock


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
def test_a_wrong_password_is_one_sentence(locked, user, password):
    with pytest.raises(ServerError) as caught:
        Store.open(at(locked, user, password))
    assert 'refuses the user name or the password' in str(caught.value)
    assert password not in str(caught.value)


def test_a_worker_with_a_wrong_password_ends_with_one_sentence(locked, start_worker):
    process = start_worker(at(locked, 'driver', None).uri, CHAINER_KFAC_MONGO_PASSWORD='hunter2')
    assert process.wait(60) == 2
    said = process.log.read_text().strip()
    assert said.startswith('chainer-kfac worker: ')
    assert 'refuses the user name or the password' in said
    assert '\n' not in said
    assert 'hunter2' not in said


def test_no_password_where_one_is_wanted(locked):
    with pytest.raises(ServerError, match='role|password'):
        Store.open(address.Address(locked.uri + '?' + QUICK))


def test_a_user_who_may_only_read_sees_results_and_is_told_which_role_is_missing(locked, begin):
    store = Store.open(at(locked, 'reader', SECRET))
    with pytest.raises(ServerError, match='does not let this user do that.*role'):
        connection.lasting(store.create_indexes, store.address)
    begin(Store.open(at(locked, 'driver', SECRET)))
    assert '0 of 4 trials ended' in Found.load(store, 'test').status()[0]


class Requests(monitoring.CommandListener):
    """What has been done to which collection, in the words of MongoDB's privileges."""

    def __init__(self):
        self.actions = set()

    def started(self, event):
        name, command = event.command_name, event.command
        action = {'count': 'find', 'aggregate': 'find', 'delete': 'remove'}.get(name, name)
        if isinstance(command.get(name), str):
            self.actions.add((command[name], action))
        if any(each.get('upsert') for each in command.get('updates', ())):
            self.actions.add((command[name], 'insert'))

    def succeeded(self, event):
        pass

    failed = succeeded


def test_a_worker_needs_no_more_than_the_documented_role(nx_store, begin, enqueue, tmp_path,
                                                         monkeypatch):
    requests = Requests()
    monkeypatch.setitem(connection._DEFAULTS, 'event_listeners', [requests])
    monkeypatch.setattr(objectives.find('branin'), 'data', lambda settings: 'images')
    enqueue(nx_store, begin(nx_store, trials=3), 3)
    late = lease.Claim.of(lease.reserve(nx_store, 'late', 'test'))
    lease.release(nx_store, late, 'x', [])
    nx_store.jobs.update_one({'tid': 1}, {'$set': {'misc.vals.x': ['hostile']}})
    store = Store.open(nx_store.address)
    worker = Worker(store, tmp_path, 'test', stopping=Stopping(time.monotonic() + 60),
                    until_done=True)
    worker.run()
    worker._sweeper._connected_since -= 1000
    worker._sweeper.sweep('test', 2.0, 3)
    assert lease.finish(store, late, DONE, {'status': 'ok', 'loss': 1.0}, []) == 'duplicate'
    store.close()
    page = pathlib.Path(__file__).parents[2] / 'docs' / 'search.md'
    granted = {(collection, action) for collection, actions in re.findall(
        r"resource: c\('(\w+)'\), actions: \[(.*?)\]", page.read_text())
        for action in re.findall(r'\w+', actions)}
    assert ('duplicates', 'insert') in requests.actions
    assert ('experiments', 'update') in requests.actions
    assert requests.actions <= granted


def test_an_srv_address_leads_to_its_server(nx_store, monkeypatch):
    """With a name service of our own: two answers, for the name and for the host it names."""
    port = int(nx_store.address.uri.rpartition(':')[2].partition('/')[0])
    record = types.SimpleNamespace(port=port, priority=0, weight=0, ttl=60, target=dns.name.
                                   from_text('h.db.example.org'))

    def resolve(name, kind, **more):
        if str(kind).upper() != 'SRV':
            raise dns.resolver.NoAnswer
        return Answer([record])

    class Answer(list):
        rrset = types.SimpleNamespace(ttl=60)

    plain = socket.getaddrinfo
    monkeypatch.setattr(dns.resolver, 'resolve', resolve)
    monkeypatch.setattr(socket, 'getaddrinfo', lambda host, *more, **options: plain(
        '127.0.0.1' if host == 'h.db.example.org' else host, *more, **options))
    store = Store.open(address.parse('mongodb+srv://db.example.org/kfac_test?tls=false'))
    assert store.identity() == nx_store.identity()
    store.close()


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


@pytest.fixture(scope='module')
def encrypted(server_type, certificates):
    server = server_type('secantus', certificates, '--tls-cert-file', certificates / 'cert.pem',
                         '--tls-key-file', certificates / 'key.pem').start()
    yield server
    server.stop()


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
