"""Real servers over TCP, and what tests of the search share."""
import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

START_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Server:
    """A server process that can be killed and started again at the same port."""

    def __init__(self, kind, folder, *options, host='127.0.0.1', prelude=None):
        self.kind = kind
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.host = host
        self._options = options
        self._prelude = prelude
        self.process = None

    @property
    def uri(self):
        return 'mongodb://{}:{}/kfac_test'.format(self.host, self.port)

    def start(self, *options):
        if self.kind == 'nx':
            command = ['-m', 'nx_27017.nx_27017', '--data-dir', self.folder / 'nx',
                       '--host', self.host, '--port', self.port,
                       '--log-file', self.folder / 'nx.log', '--pid-file', self.folder / 'nx.pid']
        else:
            command = ['-m', 'secantus', '--standalone', '--host', self.host, '--port', self.port,
                       '--storage-path', self.folder / 'wt', '--cache-size', '64M']
        with open(self.folder / 'server.log', 'ab') as log:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, (*command, *self._options, *options))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._prelude)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
                return self
            time.sleep(0.05)
        raise RuntimeError((self.folder / 'server.log').read_text()[-2000:])

    def stop(self, signum=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self):
        self.stop(signal.SIGKILL)

    def allow_files_of(self, size):
        """Change how large its files may become: a full disk, and room again."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(scope='session')
def server_type():
    """`Server`, for the modules that share one with options of their own."""
    return Server


@pytest.fixture(scope='session')
def nx(tmp_path_factory):
    """The embedded server, shared by all tests that do not end it."""
    server = Server('nx', tmp_path_factory.mktemp('nx')).start()
    yield server
    server.stop()


@pytest.fixture(scope='session')
def secantus(tmp_path_factory):
    """A server with another storage engine and stricter semantics."""
    server = Server('secantus', tmp_path_factory.mktemp('secantus')).start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path):
    """An embedded server of this test alone, to be killed."""
    server = Server('nx', tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def make_server(tmp_path):
    """``make_server(kind, *options, ...)`` starts a server of this test alone."""
    started = []

    def make(kind, *options, **more):
        folder = tmp_path / 'server{}'.format(len(started))
        folder.mkdir()
        started.append(Server(kind, folder, *options, **more))
        return started[-1].start()

    yield make
    for server in started:
        server.stop()


def _opened(server):
    from chainer_kfac.search.address import Address
    from chainer_kfac.search.store import Store
    store = Store.open(Address(server.uri))
    for name in store.database.list_collection_names():
        store.database[name].delete_many({})
    store.create_indexes()
    return store


@pytest.fixture(params=['nx', 'secantus'])
def store(request):
    """An empty database, on each kind of server."""
    store = _opened(request.getfixturevalue(request.param))
    yield store
    store.close()


@pytest.fixture
def nx_store(nx):
    """An empty database on the embedded server."""
    store = _opened(nx)
    yield store
    store.close()


@pytest.fixture
def own_store(own_server):
    """A database whose server this test may kill."""
    store = _opened(own_server)
    yield store
    store.close()


@pytest.fixture
def begin():
    """``begin(store, objective='branin', settings={}, trials=n, ...)``: an experiment."""
    from chainer_kfac.search import experiments, options, space

    spaces = {'branin': (('x', -5, 10), ('y', 0, 15)), 'cliff': (('x', 1e-3, 1e3),)}

    def make(store, objective='branin', settings=None, exp_key='test', **search):
        dimensions = tuple(space.Dimension(name, 'uniform', low, high)
                           for name, low, high in spaces[objective])
        search = options.search(**{'trials': 4, 'lease': 2.0, **search})
        return experiments.begin(store, exp_key, objective, settings or {},
                                 space.Space(dimensions), search)

    return make


@pytest.fixture
def enqueue():
    """``enqueue(store, experiment, n)``: n waiting trials of Branin."""
    def put(store, experiment, n, first=0):
        for tid in range(first, first + n):
            raw = dict.fromkeys(experiment.space.names, 1.0 + tid / 10)
            store.jobs.insert_one(experiment.new_trial(tid, raw, 'given'))

    return put


@pytest.fixture
def start_worker(tmp_path):
    """``start_worker(uri, *options, **variables)``: a ``chainer-kfac worker`` process. Its output
    is the file ``log`` of the process object. All are ended after the test."""
    started = []

    def start(uri, *options, root=None, **variables):
        log = tmp_path / 'worker{}.log'.format(len(started))
        environment = {**os.environ, 'CHAINER_KFAC_MONGO': uri, 'OMP_NUM_THREADS': '1', **variables}
        with open(log, 'wb') as stream:
            process = subprocess.Popen(
                [sys.executable, '-m', 'chainer_kfac', 'worker', '--root',
                 str(root or tmp_path / 'runs'), *map(str, options)],
                env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def eventually():
    """``eventually(condition, seconds=30)`` waits until a condition holds and returns its value."""
    def wait(condition, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError('not within {} s'.format(seconds))

    return wait


class Proxy:
    """A TCP connection to a server that can be cut, and can be asked how often it was used."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._sockets = set()
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self):
        return 'mongodb://127.0.0.1:{}/kfac_test'.format(self.port)

    def cut(self):
        """Close what is open, and everything that comes."""
        self._open.clear()
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self._open.set()

    def close(self):
        self.cut()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._open.is_set():
                client.close()
                continue
            server = socket.create_connection(('127.0.0.1', self._target))
            for source, sink, count in ((client, server, 1), (server, client, 0)):
                self._sockets.add(source)
                threading.Thread(target=self._pump, args=(source, sink, count), daemon=True).start()

    def _pump(self, source, sink, count):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.requests += count
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._sockets.discard(source)


@pytest.fixture
def proxy():
    """``proxy(port)``: a connection that can be cut."""
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for each in made:
        each.close()
