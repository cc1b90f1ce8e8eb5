"""A CIFAR-10 of 50 + 10 images, its cache file, its archive, and a server that can misbehave."""
import contextlib
import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np

from chainer_kfac.datasets import cifar10

TRAIN, TEST = 50, 10


def arrays(seed=0):
    rng = np.random.RandomState(seed)
    return {'train_x': rng.randint(0, 256, (TRAIN, 3072)).astype(np.uint8),
            'train_y': rng.permutation(np.arange(TRAIN) % 10).astype(np.uint8),
            'test_x': rng.randint(0, 256, (TEST, 3072)).astype(np.uint8),
            'test_y': rng.permutation(np.arange(TEST) % 10).astype(np.uint8)}


def shrink(monkeypatch):
    """Let the loader expect the small one."""
    monkeypatch.setattr(cifar10, 'TRAIN', TRAIN)
    monkeypatch.setattr(cifar10, 'TEST', TEST)
    monkeypatch.setattr(cifar10, 'ARRAYS', {k: v.shape for k, v in arrays().items()})


def python2_pickle(data, labels):
    """What Python 2 and the NumPy of 2009 wrote: byte strings, and names NumPy has moved since.

    The dict of one batch, opcode by opcode, since Python 3 cannot write it.
    """
    def text(b):
        return b'U' + bytes([len(b)]) + b

    def numbers(*values):
        return b''.join(b'J' + v.to_bytes(4, 'little', signed=True) for v in values)

    raw = data.tobytes()
    dtype = (b'cnumpy\ndtype\n' + text(b'u1') + numbers(0, 1) + b'\x87R'
             + b'(' + numbers(3) + text(b'|') + b'NNN' + numbers(-1, -1, 0) + b'tb')
    array = (b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n' + numbers(0) + b'\x85'
             + text(b'b') + b'tR(' + numbers(1, *data.shape) + b'\x86' + dtype + b'\x89T'
             + len(raw).to_bytes(4, 'little') + raw + b'tb')
    return (b'\x80\x02}(' + text(b'labels') + b'](' + numbers(*labels.tolist()) + b'e'
            + text(b'data') + array + b'u.')


def archive(content=None):
    """Bytes of a tar.gz laid out as the official one: five batches and a test batch, pickled."""
    content = content or arrays()
    step = TRAIN // 5
    batches = {'data_batch_{}'.format(i + 1): ('train', slice(i * step, (i + 1) * step))
               for i in range(5)}
    batches['test_batch'] = ('test', slice(None))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode='w:gz') as tar:
        for name, (split, part) in batches.items():
            body = python2_pickle(content[split + '_x'][part], content[split + '_y'][part])
            member = tarfile.TarInfo('cifar-10-batches-py/' + name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return raw.getvalue()


def md5(body):
    return hashlib.md5(body).hexdigest()


class Server:
    """What a server did and shall do: ``answers`` are used up in turn, the last one for ever.

    An answer is a function of the request handler.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = 0
        self.url = None

    def answer(self, handler):
        self.requests += 1
        (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(handler)


def whole(body):
    def answer(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def without_length(body):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)
    return answer


def breaking_off(body, at, hold=None):
    """Promise the whole body, send ``at`` bytes, wait for the event ``hold``, hang up."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:at])
        handler.wfile.flush()
        if hold:
            hold.wait(60)
    return answer


def refusing(code):
    def answer(handler):
        handler.send_error(code)
    return answer


@contextlib.contextmanager
def serving(*answers):
    """A real HTTP server on the loopback interface."""
    server = Server(*answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as httpd:
        httpd.daemon_threads = True
        thread = threading.Thread(target=httpd.serve_forever, kwargs={'poll_interval': 0.02})
        thread.start()
        server.url = 'http://127.0.0.1:{}/cifar.tar.gz'.format(httpd.server_address[1])
        try:
            yield server
        finally:
            httpd.shutdown()
            thread.join()
