"""Downloads from a real server that sends rubbish, breaks off, refuses, or is killed half-way."""
import os
import signal
import subprocess
import sys
import threading
import time

import chainer
import pytest
from small_cifar import breaking_off, md5, refusing, serving, whole, without_length

from chainer_kfac.datasets import download
from chainer_kfac.exceptions import DataError

BODY = os.urandom(700000)


@pytest.fixture(autouse=True)
def impatient(monkeypatch, dataset_root):
    monkeypatch.setattr(download, 'PAUSE', 0.0)
    monkeypatch.setattr(download, 'TIMEOUT', 2.0)


def nothing_but_the_lock(dataset_root):
    return all(name.endswith('.lock') for name in os.listdir(dataset_root / '_dl_cache'))


@pytest.mark.parametrize('answer', [whole, without_length])
def test_good_and_then_from_the_cache(answer):
    with serving(answer(BODY)) as server:
        path = download.cached(server.url, md5(BODY))
        assert path.read_bytes() == BODY
        assert download.cached(server.url, md5(BODY)) == path
        assert server.requests == 1
        # It lies where Chainer looks for it.
        assert chainer.dataset.cached_download(server.url) == str(path)
        assert server.requests == 1


def test_from_a_file(tmp_path):
    (tmp_path / 'source').write_bytes(BODY)
    url = (tmp_path / 'source').as_uri()
    assert download.cached(url, md5(BODY)).read_bytes() == BODY


def test_tries_again_after_an_interruption(dataset_root):
    with serving(breaking_off(BODY, 300000), refusing(503), whole(BODY)) as server:
        assert download.cached(server.url, md5(BODY)).read_bytes() == BODY
        assert server.requests == 3


def test_tries_again_after_silence():
    with serving(breaking_off(BODY, 300000, threading.Event()), whole(BODY)) as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download, 'TIMEOUT', 0.2)
            assert download.cached(server.url, md5(BODY)).read_bytes() == BODY
        assert server.requests == 2


def test_tries_again_after_a_wrong_checksum():
    with serving(whole(BODY[:-1] + b'x'), whole(BODY)) as server:
        assert download.cached(server.url, md5(BODY)).read_bytes() == BODY
        assert server.requests == 2


@pytest.mark.parametrize(('answer', 'part', 'requests'), [
    (whole(b'<html>log in first</html>'), 'md5', 3),
    (breaking_off(BODY, 300000), '300000 of 700000 bytes', 3),
    (refusing(500), 'Internal Server Error', 3),
    (refusing(404), 'Not Found', 1),
])
def test_gives_up_cleanly(dataset_root, answer, part, requests):
    with serving(answer) as server:
        with pytest.raises(DataError) as caught:
            download.cached(server.url, md5(BODY))
        assert part in str(caught.value)
        assert server.url in str(caught.value)
        assert server.requests == requests
        assert nothing_but_the_lock(dataset_root)
        server.answers = [whole(BODY)]
        assert download.cached(server.url, md5(BODY)).read_bytes() == BODY


def test_a_host_that_is_not_there_is_asked_once(monkeypatch):
    monkeypatch.setattr(time, 'sleep', lambda seconds: pytest.fail('tried again'))
    with pytest.raises(DataError, match='Connection refused'):
        download.cached('http://127.0.0.1:9/x', md5(BODY))


def test_a_wrong_file_in_the_cache_is_replaced():
    with serving(whole(BODY)) as server:
        path = download.cached(server.url, md5(BODY))
        path.write_bytes(BODY[:1000])
        assert download.cached(server.url, md5(BODY)).read_bytes() == BODY
        assert server.requests == 2


def test_two_at_once_download_once():
    found = []
    with serving(whole(BODY)) as server:
        threads = [threading.Thread(target=lambda: found.append(
            download.cached(server.url, md5(BODY)).read_bytes())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [BODY] * 4
        assert server.requests == 1


def test_killed_half_way(dataset_root):
    arrived = threading.Event()

    def half(handler):
        breaking_off(BODY, 400000)(handler)
        arrived.set()
        time.sleep(1)

    program = ('import sys\nfrom chainer_kfac.datasets import download\n'
               'download.cached(*sys.argv[1:])')
    with serving(half, whole(BODY)) as server:
        with subprocess.Popen([sys.executable, '-c', program, server.url, md5(BODY)],
                              env=dict(os.environ, CHAINER_DATASET_ROOT=str(dataset_root)),
                              stderr=subprocess.DEVNULL) as process:
            assert arrived.wait(60)
            deadline = time.monotonic() + 30
            while not (parts := list((dataset_root / '_dl_cache').glob('*.part'))):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert download.cached(server.url, md5(BODY)).read_bytes() == BODY
        assert not parts[0].exists()
        assert server.requests == 2


def test_plain_lines_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(download, '_CHUNK', 1 << 14)
    with serving(whole(BODY)) as server:
        download.cached(server.url, md5(BODY))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == 'cifar.tar.gz: downloading, 0.7 MB'
    assert lines[1:] == ['cifar.tar.gz: {} %'.format(p) for p in range(10, 101, 10)]


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    with serving(whole(BODY)) as server:
        download.cached(server.url, md5(BODY))
    out = capsys.readouterr().err
    assert '\r' in out
    assert '100%' in out
    assert 'cifar.tar.gz' in out
