"""The server that starts by itself where no address is given."""
import contextlib
import fcntl
import json
import logging
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

from chainer_kfac.compat import require
from chainer_kfac.search.address import DATABASE, Address
from chainer_kfac.search.errors import ServerError

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
STOP_SECONDS = 20.0
LOCK_SECONDS = 3.0
"""How long a server that was killed may take to let go of its folder."""
_TRIES = 5


class EmbeddedServer:
    """A MongoDB server on a loopback port with its files in one folder.

    It is ``mongod`` where that is on the PATH, else ``nx-27017``, which keeps its data in SQLite
    files; a folder stays with the server that began it. All processes that use a folder share one
    server. It outlives a user that is killed, so that workers can still deliver; the last user
    that leaves in good order stops it. While it runs it holds ``server.lock``: on another machine
    that has the folder too, none is started.

    Args:
        folder (path): where data, log and ``server.json`` are.

    Attributes:
        address (Address): inside the ``with`` block.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder).absolute()
        self.address = None
        self._note = self.folder / 'server.json'
        self._users = None
        self._child = None

    def __enter__(self) -> 'EmbeddedServer':
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._users = open(self.folder / 'users.lock', 'a')
            fcntl.flock(self._users, fcntl.LOCK_SH)
        except OSError as error:
            raise ServerError('cannot use the folder {} for the database: {}'.format(
                self.folder, error.strerror)) from error
        try:
            self.ensure()
        except BaseException:
            self._users.close()
            raise
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._stop()
        self._users.close()

    def ensure(self) -> None:
        """Start the server unless it runs; at its old port if that is free."""
        with open(self.folder / 'start.lock', 'a') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            note = self._read()
            if note is None or not _answers(note):
                note = self._start(note or {})
            self.address = Address(_uri(note['port']))

    def _read(self):
        try:
            return json.loads(self._note.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _start(self, before):
        self._reap(before)
        kind = before.get('kind') or ('mongod' if shutil.which('mongod') else 'nx')
        port = before.get('port')
        for _ in range(_TRIES):
            if port is None or not _is_free(port):
                port = _free_port()
            note = {'kind': kind, 'port': port, 'token': uuid.uuid4().hex}
            with self._locked() as lock:
                note['pid'] = self._spawn(kind, port, lock)
            try:
                answers = self._wait(note)
                if answers:
                    self._note.write_text(json.dumps(note))
            except BaseException:       # or it would run on, and nobody know where
                self._child.kill()
                self._child.wait()
                raise
            if answers:
                logger.info('the database is %s, %s, with its files in %s; more workers on this '
                            'machine join with: chainer-kfac worker --mongo %s',
                            _uri(port), kind, self.folder, _uri(port))
                return note
            port = None
        raise ServerError('the embedded server did not start: see {}'.format(
            self.folder / 'server.log'))

    @contextlib.contextmanager
    def _locked(self):
        """The file whose lock the new server inherits, and which says who that is."""
        deadline = time.monotonic() + LOCK_SECONDS
        with open(self.folder / 'server.lock', 'a+') as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        lock.seek(0)
                        raise ServerError(
                            'the database in {} is run by {}, and only that machine reaches it: '
                            'run this there, end that process, or take a server that several '
                            'machines reach, with --mongo'.format(
                                self.folder, lock.read().strip() or 'another process')) from None
                    time.sleep(0.05)
            lock.truncate(0)
            yield lock
            lock.write('process {} on {}\n'.format(self._child.pid, socket.gethostname()))

    def _spawn(self, kind, port, lock):
        data = self.folder / kind
        data.mkdir(exist_ok=True)
        if kind == 'mongod':
            if shutil.which('mongod') is None:
                raise ServerError('the database in {} was begun with mongod, which is not on the '
                                  'PATH: put it there, or take another --root'.format(self.folder))
            command = ['mongod', '--dbpath', data, '--port', str(port), '--bind_ip', '127.0.0.1']
        else:
            require('nx_27017', 'a search without --mongo')
            command = [sys.executable, '-m', 'nx_27017.nx_27017', '--data-dir', data,
                       '--host', '127.0.0.1', '--port', str(port),
                       '--log-file', self.folder / 'nx.log', '--pid-file', self.folder / 'nx.pid']
        with open(self.folder / 'server.log', 'ab') as log:
            # A session of its own: Ctrl-C is for the driver, which still needs the database.
            self._child = subprocess.Popen(
                [str(each) for each in command], cwd=self.folder, start_new_session=True,
                pass_fds=[lock.fileno()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self._child.pid

    def _wait(self, note):
        """Wait until the server answers, and leave our mark in it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._child.poll() is None:
            if _answers(note, mark=True):
                return True
            time.sleep(0.05)
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        return False

    def _stop(self):
        note = self._read()
        if note is None or not self._is_ours(note['pid']):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(note['pid'], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._is_ours(note['pid']) and time.monotonic() < deadline:
            if self._child is not None:
                self._child.poll()
            time.sleep(0.05)
        self._reap(note)

    def _reap(self, note):
        """End a server of this folder that does not answer."""
        if note.get('pid') and self._is_ours(note['pid']):
            with contextlib.suppress(ProcessLookupError):
                os.kill(note['pid'], signal.SIGKILL)
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_SECONDS)

    def _is_ours(self, pid):
        """Whether a process runs a server on this folder; its number may have been reused."""
        try:
            command = pathlib.Path('/proc', str(pid), 'cmdline').read_bytes()
        except OSError:
            return False
        return str(self.folder).encode() in command


def _uri(port):
    return 'mongodb://127.0.0.1:{}/{}'.format(port, DATABASE)


def _answers(note, mark=False):
    """Whether the server of a note answers at its port, and no other one does.

    Args:
        note (dict): port and token.
        mark (bool): leave the token there first.
    """
    pymongo, errors = require('pymongo', 'the search'), require('pymongo.errors', 'the search')
    client = pymongo.MongoClient(_uri(note['port']), serverSelectionTimeoutMS=1000,
                                 connectTimeoutMS=1000, socketTimeoutMS=5000)
    try:
        marks = client[DATABASE]['server']
        if mark:
            marks.update_one({'_id': 'mark'}, {'$set': {'token': note['token']}}, upsert=True)
        found = marks.find_one({'_id': 'mark'})
        return found is not None and found.get('token') == note['token']
    except errors.PyMongoError:
        return False
    finally:
        client.close()


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
        return True


def _free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
