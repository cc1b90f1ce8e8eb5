"""The process beside a rank, on its own: how it joins that of rank 0."""
import socket
import threading

import pytest

from chainer_kfac.communicators.guardian import Guardian


@pytest.fixture
def first():
    """``first(answer)``: the guardian of rank 0 as far as its welcome; returns its port."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        connections, threads = [], []

        def welcome(answer):
            connection, _ = listener.accept()
            connections.append(connection)
            assert connection.recv(64) == b'secret 1\n'
            connection.sendall(answer)

        def start(answer):
            threads.append(threading.Thread(target=welcome, args=(answer,)))
            threads[-1].start()
            return listener.getsockname()[1]

        yield start
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()


def joined(port):
    return Guardian(1, 2, ['rank 0', 'rank 1'], 'secret', (['127.0.0.1'], port))


def test_a_beat_right_behind_the_welcome_is_read_later(first):
    """Where rank 0 welcomes a rank just when its beat is due, both come in one piece."""
    peer, = joined(first(b'welcome\nbeat\nlost [0, "x"]\n'))._peers
    assert peer.read() == ['beat', 'lost [0, "x"]']


@pytest.mark.parametrize('answer', [b'HTTP/1.1 400\r\n', b'welcome to FTP\n', b'x' * 99])
def test_another_server_at_that_port_is_none(first, answer):
    with pytest.raises(ConnectionError, match='no way to port'):
        joined(first(answer))
