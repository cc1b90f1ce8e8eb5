"""A search whose workers, server and driver are killed -9 at random, over and over.

    python tests/search/soak.py                          200 trials, 6 workers: some minutes
    python tests/search/soak.py --trials 2000 --seed 7   longer, other kills

Everything is a real process: a server on a TCP port, ``chainer-kfac worker`` as a user starts it,
a driver. At the end the export must hold every trial exactly once, done, with the loss that its
values have. The last line says so; the exit code is 1 if it is not true.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

from chainer_kfac.search import documents, experiments, export, objectives, options, space
from chainer_kfac.search.address import URI_VARIABLE, Address
from chainer_kfac.search.driver import Driver
from chainer_kfac.search.found import Found
from chainer_kfac.search.local_workers import LocalWorkers
from chainer_kfac.search.store import Store

EXP_KEY = 'soak'
SPACE = space.Space((space.Dimension('x', 'uniform', -5, 10),
                     space.Dimension('y', 'uniform', 0, 15)))


class Soak:
    """The processes, and what happens to them."""

    def __init__(self, args, folder):
        self.args = args
        self.folder = pathlib.Path(folder)
        self.random = random.Random(args.seed)
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.address = Address('mongodb://127.0.0.1:{}/soak'.format(self.port))
        self.environment = {**os.environ, URI_VARIABLE: self.address.uri, 'OMP_NUM_THREADS': '1'}
        self.kills = collections.Counter()
        self.server = self.driver = None
        self.workers = [None] * args.workers

    def start_server(self):
        self.server = self._start('server', [
            '-m', 'nx_27017.nx_27017', '--data-dir', self.folder / 'data', '--port', self.port,
            '--log-file', self.folder / 'nx.log', '--pid-file', self.folder / 'nx.pid'])

    def start_driver(self):
        self.driver = self._start('driver', [
            __file__, '--drive', '--trials', self.args.trials, '--seconds', self.args.seconds,
            '--seed', self.args.seed])

    def start_worker(self, slot):
        self.workers[slot] = self._start('worker-{}'.format(slot), [
            '-m', 'chainer_kfac', 'worker', '--exp-key', EXP_KEY, '--root', self.folder / 'runs'])

    def _start(self, name, arguments):
        with open(self.folder / (name + '.log'), 'ab') as log:
            return subprocess.Popen([sys.executable, *map(str, arguments)], env=self.environment,
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, kind, process):
        process.kill()
        process.wait()
        self.kills[kind] += 1

    def run(self):
        """Kill until the driver has ended by itself."""
        self.start_server()
        self.start_driver()
        for slot in range(self.args.workers):
            self.start_worker(slot)
        marks = {'server': self._marks(self.args.server_kills),
                 'driver': self._marks(self.args.driver_kills)}
        deadline = time.monotonic() + self.args.limit
        next_kill = time.monotonic() + self._interval()
        while self.driver.poll() is None:
            if time.monotonic() > deadline:
                raise SystemExit('not done after {} s: {}'.format(self.args.limit, self.logs()))
            time.sleep(0.1)
            if time.monotonic() > next_kill:
                next_kill = time.monotonic() + self._interval()
                self._kill_a_worker()
            ended = self._ended()
            for kind in ('server', 'driver'):
                if ended is not None and marks[kind] and ended >= marks[kind][0]:
                    marks[kind].pop(0)
                    self._kill_and_restart(kind)
        if self.driver.returncode != 0:
            raise SystemExit('the driver ended with {}: {}'.format(
                self.driver.returncode, self.logs()))

    def _marks(self, number):
        """How many trials have ended when something is killed: spread over the search."""
        return [int(self.args.trials * (index + 0.3 + 0.4 * self.random.random()) / number)
                for index in range(number)]

    def _interval(self):
        return self.args.kill_every * self.random.uniform(0.5, 1.5)

    def _kill_a_worker(self):
        slot = self.random.randrange(self.args.workers)
        self.kill('worker', self.workers[slot])
        self.start_worker(slot)

    def _kill_and_restart(self, kind):
        self.kill(kind, getattr(self, kind))
        time.sleep(self.random.uniform(0.2, 3.0))
        getattr(self, 'start_' + kind)()

    def _ended(self):
        """How many results the driver's log shows."""
        try:
            return (self.folder / 'driver.log').read_text().count('ended: ')
        except OSError:
            return None

    def stop(self):
        """End the workers in good order, so that what they hold is delivered."""
        for process in self.workers:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.workers:
            if process is not None:
                process.wait(60)

    def close(self):
        for process in (self.driver, *self.workers, self.server):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def judge(self):
        """Compare the final export with what must be in it; returns the summary and whether it
        is good."""
        store = Store.open(self.address)
        found = Found.load(store, EXP_KEY)
        store.close()
        files = export.write(self.folder / 'export', found.experiment, found.trials)
        trials = [json.loads(line) for line in files[1].read_text().splitlines()]
        branin = objectives.find('branin')
        done = [trial['tid'] for trial in trials
                if trial['state'] == documents.DONE and trial['deliveries'] == 1
                and trial['result']['loss'] == branin.loss(**trial['values'])]
        seen = collections.Counter(trial['tid'] for trial in trials)
        lost = set(range(self.args.trials)) - set(done)
        twice = [tid for tid, times in seen.items() if times > 1]
        twice += [trial['tid'] for trial in trials if (trial['deliveries'] or 0) > 1]
        undelivered = list((self.folder / 'runs' / 'search' / 'spool').glob('*.json'))
        points = {tuple(trial['values'].values()) for trial in trials}
        again = sum(len(trial['history']) for trial in trials)
        print('kills: {}; attempts begun again: {}; late results kept as duplicates: {}'.format(
            ', '.join('{} {}'.format(number, kind) for kind, number in self.kills.items()),
            again, len(found.duplicates)))
        summary = '{} trials, {} workers, {} kills: {} done, {} lost, {} twice'.format(
            self.args.trials, self.args.workers, sum(self.kills.values()), len(set(done)),
            len(lost), len(twice))
        good = (len(done) == len(points) == self.args.trials and not lost and not twice
                and not undelivered)
        return summary, good

    def logs(self):
        return '\n'.join('{}: {}'.format(path.name, path.read_text()[-1500:])
                         for path in sorted(self.folder.glob('*.log')))


def drive(args):
    """The driver process. Each result is a line in its log."""
    store = Store.open(Address(os.environ[URI_VARIABLE]))
    search = options.search(trials=args.trials, seed=args.seed, lease=3.0, setbacks=1000,
                            prune='none', startup=20)
    experiment = experiments.begin(store, EXP_KEY, 'branin', {'seconds': args.seconds, 'epochs': 3},
                                   SPACE, search)

    def show(observed, ended):
        for trial in ended:
            print('ended: {}'.format(trial['tid']), flush=True)

    Driver(store, experiment, LocalWorkers(0, store.address, '.', EXP_KEY), show=show).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--trials', type=int, default=200)
    parser.add_argument('--workers', type=int, default=6)
    parser.add_argument('--seconds', type=float, default=0.4, help='length of a trial')
    parser.add_argument('--kill-every', type=float, default=3.0, help='seconds between kills')
    parser.add_argument('--server-kills', type=int, default=2)
    parser.add_argument('--driver-kills', type=int, default=1)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--limit', type=float, default=1800, help='seconds after which to give up')
    parser.add_argument('--drive', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.drive:
        drive(args)
        return 0
    with tempfile.TemporaryDirectory(prefix='soak-') as folder:
        soak = Soak(args, folder)
        try:
            soak.run()
            soak.stop()
            summary, good = soak.judge()
        finally:
            soak.close()
        if not good:
            print(soak.logs())
    print(summary)
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
