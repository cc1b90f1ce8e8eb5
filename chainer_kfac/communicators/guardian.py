"""A small process beside each rank that ends the whole run when a rank dies or stops answering.

The guardians of all ranks are connected to that of rank 0. Each sends a beat every second while
its rank is neither gone nor stopped nor without its launcher; one that computes for long beats on.
(A thread of the rank could not: SciPy's LAPACK holds Python's lock for as long as it takes.) When a
rank is lost, rank 0's guardian names it, and each guardian kills its own rank: the lost one's
first, so that the launcher blames the right one.

Time that a guardian was not running itself does not count: a job that is suspended as a whole is
not lost.

Runs as ``python -I -S guardian.py`` with the standard library only. Its standard input is the
rank's end of a pipe: one line of JSON with what is in `Guardian`, later a farewell. Whatever ends
the rank closes the pipe.
"""
import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time

BEAT = 1.0
SILENCE = 15.0
"""Seconds without a beat after which a rank is lost."""
CONNECT = 5.0
"""Seconds for one attempt at one address."""
MERCY = 2.0
"""Seconds by which the other ranks outlive the one that was lost."""


class Lost(Exception):
    """A rank is lost; the arguments are its number, what became of it, and whether to say so."""


class Over(Exception):
    """A rank ends all the others in its own way."""


class Peer:
    """One connection: whole lines in, whole lines out, and how long it has been silent."""

    def __init__(self, connection, rank=None):
        self.rank = rank
        self.silent = 0.0
        self.connection = connection
        self._partial = b''

    def fileno(self):
        return self.connection.fileno()

    def read(self):
        """Lines that have come; None at the end of the connection."""
        try:
            data = self.connection.recv(4096)
        except OSError:
            data = b''
        if not data:
            return None
        self.silent = 0.0
        *lines, self._partial = (self._partial + data).split(b'\n')
        return [line.decode(errors='replace') for line in lines]

    def write(self, line):
        with contextlib.suppress(OSError):  # its end is noticed where it is read
            self.connection.sendall(line.encode() + b'\n')


class Guardian:
    """Watches one rank, and on rank 0 all of them.

    Args:
        rank (int), size (int), names (list of str): the rank, and what to call each rank.
        token (str): what the guardians of this run know each other by.
        where (list or None): addresses and port of rank 0's guardian; None there.
        silence (float): as `SILENCE`.
    """

    def __init__(self, rank, size, names, token, where, silence=SILENCE):
        self._rank, self._names, self._token = rank, names, token
        self._silence = silence
        self._parent = os.getppid()
        self._launcher = status(self._parent)[1]
        self._stopped = 0.0
        self._peers = []
        self._listener = None
        self._missing = size - 1 if rank == 0 else 0  # guardians that have not come yet
        if rank == 0:
            self._listener = socket.create_server(('', 0), backlog=size)
            print(json.dumps([addresses(), self._listener.getsockname()[1]]), flush=True)
        else:
            self._peers = [Peer(self._connect(*where), 0)]
            print('connected', flush=True)

    def _connect(self, hosts, port):
        for host in hosts:
            try:
                connection = socket.create_connection((host, port), timeout=CONNECT)
                connection.sendall('{} {}\n'.format(self._token, self._rank).encode())
                if line(connection) == b'welcome\n':  # not some other host's port
                    connection.settimeout(CONNECT)
                    return connection
            except OSError:
                continue
        raise ConnectionError('no way to port {} of {}'.format(port, ' or '.join(hosts)))

    def watch(self):
        """Until the rank has said farewell; raises Lost, or Over if another rank ends them all."""
        last = beaten = time.monotonic()
        while True:
            listeners = [self._listener] if self._listener and self._missing else []
            ready, _, _ = select.select([sys.stdin, *listeners, *self._peers], [], [], BEAT / 4)
            now = time.monotonic()
            passed, last = min(now - last, BEAT), now
            for each in ready:
                if each is sys.stdin:
                    self._pass_on_farewell()
                    return
                elif each in listeners:
                    self._welcome()
                else:
                    self._read(each)
            self._age(passed)
            if now - beaten >= BEAT and not (self._stopped and self._rank):  # rank 0's judges
                beaten = now
                for peer in self._peers:
                    peer.write('beat')

    def _pass_on_farewell(self):
        """'bye' of a rank that is done, 'over' of one that ends them all by itself."""
        said = os.read(0, 100).decode().strip()
        if not said:
            raise self._own('has died')
        for peer in self._peers:
            peer.write(said)

    def _welcome(self):
        connection, _ = self._listener.accept()
        connection.settimeout(CONNECT)
        peer = Peer(connection)
        words = ' '.join(peer.read() or ['']).split()
        if len(words) != 2 or words[0] != self._token:
            connection.close()
            return
        peer.rank = int(words[1])
        peer.write('welcome')
        self._missing -= 1
        self._peers.append(peer)

    def _read(self, peer):
        lines = peer.read()
        if lines is None:
            raise self._others(peer, 'has died')
        for line in lines:
            word, _, rest = line.partition(' ')
            if word == 'bye':
                peer.connection.close()
                self._peers.remove(peer)
            elif word == 'over':
                for other in self._peers:
                    other.write('over')
                raise Over
            elif word == 'lost':
                raise Lost(*json.loads(rest), False)

    def _age(self, passed):
        if os.getppid() != self._parent:  # where a fork of the rank holds its end of the pipe
            raise self._own('has died')
        state, launcher = status(self._parent)
        if launcher != self._launcher:  # killed, it leaves the ranks behind
            raise self._own('has lost its launcher')
        self._stopped = self._stopped + passed if state in ('T', 't') else 0.0
        words = 'has not answered for {:.0f} seconds'.format(self._silence)
        if self._rank == 0 and self._stopped > self._silence:
            raise self._own(words)
        for peer in self._peers:
            peer.silent += passed
            if peer.silent > self._silence:
                raise self._others(peer, words)

    def _own(self, words):
        return Lost(self._rank, words, self._rank == 0)  # else rank 0 notices, and says so

    def _others(self, peer, words):
        return Lost(peer.rank, words, self._rank in (0, 1))  # rank 1 speaks of rank 0

    def end(self, lost, words, speak):
        """Name the lost rank, tell the others, and kill this guardian's own rank."""
        if self._rank == 0:
            for peer in self._peers:
                peer.write('lost ' + json.dumps([lost, words]))
        if speak:
            with contextlib.suppress(OSError):  # who read it may be gone
                print('chainer-kfac: {} {}: all ranks end; what is in the run directory is whole, '
                      'and the same command goes on from its last snapshot'.format(
                          self._names[lost], words), file=sys.stderr, flush=True)
        if lost != self._rank:
            time.sleep(MERCY)
        if os.getppid() == self._parent:
            os.kill(self._parent, signal.SIGKILL)


def line(connection):
    """One line of at most 64 bytes; what has come behind it, a beat perhaps, stays to be read."""
    said = b''
    while len(said) < 64 and not said.endswith(b'\n'):
        byte = connection.recv(1)
        if not byte:
            break
        said += byte
    return said


def status(process):
    """The state letter of a process and the number of its parent; ('', 0) where that is unknown.

    'T' and 't' are stopped, by a signal and by a debugger.
    """
    try:
        with open('/proc/{}/stat'.format(process), 'rb') as stream:
            state, parent = stream.read().rpartition(b')')[2].split()[:2]
    except OSError:
        return '', 0
    return state.decode(), int(parent)


def addresses():
    """The IPv4 addresses of this machine, the loopback device last."""
    try:
        import fcntl
        found = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for _, name in socket.if_nameindex():
                try:
                    answer = fcntl.ioctl(probe, 0x8915, struct.pack('256s', name.encode()))
                except OSError:
                    continue  # an interface without an address
                found.append(socket.inet_ntoa(answer[20:24]))
    except (ImportError, OSError):
        found = [info[4][0] for info in socket.getaddrinfo(
            socket.gethostname(), None, socket.AF_INET, socket.SOCK_STREAM)]
    return sorted(dict.fromkeys(found or ['127.0.0.1']), key=lambda host: host.startswith('127.'))


def main():
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # they are for the rank
    try:
        guardian = Guardian(**json.loads(sys.stdin.readline()))
    except OSError as error:
        print('no connection: {}'.format(error), flush=True)
        return
    try:
        guardian.watch()
    except Over:
        pass
    except Lost as lost:
        guardian.end(*lost.args)


if __name__ == '__main__':
    main()
