"""What a search costs: a proposal, a trial's requests, workers that wait.

    python benchmarks/search_costs.py

Needs the extra ``search``; starts the embedded server in a temporary folder. Three figures, each
with the bar that the project has set itself.
"""
import socket
import statistics
import tempfile
import threading
import time

import numpy as np

from chainer_kfac import resources
from chainer_kfac.search import experiments, lease, options, session, space
from chainer_kfac.search.address import Address
from chainer_kfac.search.documents import DONE
from chainer_kfac.search.observed import Observed
from chainer_kfac.search.stopping import Stopping
from chainer_kfac.search.store import Store
from chainer_kfac.search.suggest import Suggester
from chainer_kfac.search.worker import Worker

SETTINGS = {'optimizer': 'kfac', 'batch_size': 512, 'epochs': 20, 'dataset': 'digits',
            'profile': 'short', 'select_on': 'test', 'seed': 0}


def finished(store, trials=1000):
    """An experiment with that many finished trials."""
    varied = space.load(resources.find('experiments/search/kfac.yaml'))
    experiment = experiments.begin(store, 'costs', 'train', SETTINGS, varied,
                                   options.search(trials=trials + 100))
    draw, random = Suggester(varied, 'random'), np.random.default_rng(0)
    for tid in range(trials):
        trial = experiment.new_trial(tid, draw(tid, [])[0], 'random')
        loss = float(random.uniform(0.3, 0.9))
        trial.update(state=DONE, result={'status': 'ok', 'loss': loss, 'seconds': 60.0},
                     curve=[{'epoch': epoch, 'loss': loss} for epoch in range(1, 21)])
        store.jobs.insert_one(trial)
    return experiment


def proposal(store, experiment, times=20):
    """Seconds for refresh, proposal and insertion, with all those trials; the median."""
    observed, suggest = Observed(store, experiment), Suggester.of(experiment)
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        observed.refresh()
        tid = observed.next_tid
        raw, _ = suggest(tid, observed.trials)
        observed.insert(experiment.new_trial(tid, raw, 'tpe'))
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def requests_of_a_trial(store, experiment, epochs=20, length=60.0):
    """Seconds that a trial of a minute spends on reserving, beating, reporting and finishing."""
    begun = time.perf_counter()
    claim = lease.Claim.of(lease.reserve(store, 'costs', experiment.exp_key))
    curve = []
    for epoch in range(1, epochs + 1):
        curve.append({'epoch': epoch, 'loss': 0.5})
        lease.report(store, claim, curve)
    for _ in range(int(length / (experiment.search['lease'] / lease.BEATS))):
        lease.beat(store, claim)
    lease.finish(store, claim, DONE, {'status': 'ok', 'loss': 0.5}, curve)
    return time.perf_counter() - begun


class Counter:
    """Passes connections on to a server and counts the requests."""

    def __init__(self, port):
        self._target, self.requests = port, 0
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(('127.0.0.1', self._target))
            for source, sink, count in ((client, server, 1), (server, client, 0)):
                threading.Thread(target=self._pump, args=(source, sink, count), daemon=True).start()

    def _pump(self, source, sink, count):
        try:
            while data := source.recv(65536):
                self.requests += count
                sink.sendall(data)
        except OSError:
            pass


def idle_workers(address, workers=16, seconds=60.0):
    """Requests a second of idle workers, PyMongo's own included, and the longest of some waits for
    a trial to be taken. The workers are threads; each has a connection of its own."""
    port = int(address.uri.rpartition(':')[2].partition('/')[0])
    counter = Counter(port)
    through = Address('mongodb://127.0.0.1:{}/idle'.format(counter.port))
    direct = Store.open(Address('mongodb://127.0.0.1:{}/idle'.format(port)))
    direct.create_indexes()
    plane = space.Space((space.Dimension('x', 'uniform', -5, 10),
                         space.Dimension('y', 'uniform', 0, 15)))
    experiment = experiments.begin(direct, 'idle', 'branin', {}, plane, options.search(trials=9))
    folder, stoppings = tempfile.mkdtemp(), [Stopping() for _ in range(workers)]
    for stopping in stoppings:
        worker = Worker(Store.open(through), folder, 'idle', stopping=stopping)
        threading.Thread(target=worker.run, daemon=True).start()
    time.sleep(25)  # until their pauses have grown to full length
    before = counter.requests
    time.sleep(seconds)
    rate = (counter.requests - before) / seconds
    waits = []
    for tid in range(5):
        begun = time.perf_counter()
        direct.jobs.insert_one(experiment.new_trial(tid, {'x': 1.0, 'y': 1.0}, 'x'))
        while direct.jobs.find_one({'tid': tid})['state'] == 0:
            time.sleep(0.02)
        waits.append(time.perf_counter() - begun)
        time.sleep(8)
    for stopping in stoppings:
        stopping.reason = 'over'
    return rate, max(waits)


def main():
    with tempfile.TemporaryDirectory() as root, session.opened(None, root) as (store, _):
        store.create_indexes()
        experiment = finished(store)
        print('proposal with 1,000 finished trials, refresh and insertion included: {:.0f} ms '
              '(bar: 100 ms)'.format(1e3 * proposal(store, experiment)))
        print('requests of a one-minute trial: {:.2f}% of it (bar: 2%)'.format(
            100 * requests_of_a_trial(store, experiment) / 60))
        print('16 idle workers: {:.1f} requests a second (bar: 6); a new trial is taken within '
              '{:.1f} s (bar: 5 s)'.format(*idle_workers(store.address)))


if __name__ == '__main__':
    main()
