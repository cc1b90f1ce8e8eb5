"""The workers that a driver starts beside itself."""
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time

from chainer_kfac.search.address import Address
from chainer_kfac.search.errors import SearchError
from chainer_kfac.sweeps import devices
from chainer_kfac.sweeps.child import environment

logger = logging.getLogger(__name__)

GRACE_SECONDS = 300.0
"""How long a worker may take to save its training and give its trial back."""
QUICK = 10.0
"""A worker that dies sooner than that, three times in a row, is not started again."""
TRIES = 3
USER_CAN_MEND = 2


class LocalWorkers:
    """Worker processes that share this machine; one that dies is replaced.

    Args:
        number (int): how many.
        address (Address): of the database; handed over in the environment.
        root (path): root of all runs.
        exp_key (str): the experiment.
        device (str or int): as ``RunConfig.device``.
    """

    def __init__(self, number: int, address: Address, root: str | os.PathLike, exp_key: str,
                 device: str | int = 'auto'):
        self.number = number
        self._address = address
        self._command = [sys.executable, '-m', 'chainer_kfac', 'worker', '--exp-key', exp_key,
                         '--root', str(root), '--device', str(device), '--parent', str(os.getpid())]
        self._logs = pathlib.Path(root, 'search', exp_key, 'logs')
        self._processes = {}  # slot -> (Popen, when it started)
        self._quick_deaths = dict.fromkeys(range(number), 0)
        self._given_up = {}  # slot -> why

    def supervise(self) -> None:
        """Start what does not run yet; replace what died.

        Raises:
            SearchError: when no worker is left and starting another would not help.
        """
        for slot in range(self.number):
            if slot in self._processes:
                self._look_after(slot)
            if slot not in self._processes and slot not in self._given_up:
                self._start(slot)
        if self.number and len(self._given_up) == self.number:
            raise SearchError('no local worker can go on: {} (the log is {})'.format(
                self._given_up[0], self._log(0)))

    def stop(self) -> None:
        """Have every worker give its trial back, and wait for that."""
        for process, _ in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process, _ in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _look_after(self, slot):
        process, started = self._processes[slot]
        code = process.poll()
        if code is None:
            return
        del self._processes[slot]
        reason = self._last_words(slot, code)
        quick = time.monotonic() - started < QUICK
        self._quick_deaths[slot] = self._quick_deaths[slot] + 1 if quick else 0
        if code == USER_CAN_MEND or code == 0 or self._quick_deaths[slot] >= TRIES:
            self._given_up[slot] = reason
        log = logger.info if code == 0 else logger.warning
        log('local worker %d has ended: %s%s', slot, reason,
            '' if slot in self._given_up else '; another one takes its place')

    def _start(self, slot):
        self._logs.mkdir(parents=True, exist_ok=True)
        variables = environment(slot, self.number, devices.cores(), devices.gpus())
        with open(self._log(slot), 'ab') as log:
            process = subprocess.Popen(
                self._command, env={**variables, **self._address.variables()}, process_group=0,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes[slot] = process, time.monotonic()

    def _log(self, slot):
        return self._logs / 'worker-{}.log'.format(slot)

    def _last_words(self, slot, code):
        if code < 0:
            return 'ended by {}'.format(signal.Signals(-code).name)
        lines = self._log(slot).read_text(errors='replace').split('\n')
        said = [line.strip() for line in lines if line.strip()]
        if not said:
            return 'exit code {}'.format(code)
        return said[-1].removeprefix('chainer-kfac worker: ')
