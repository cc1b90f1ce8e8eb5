"""A sweep goes on past failures, skips what is finished, and stops its children when told."""
import dataclasses
import errno
import functools
import io
import json
import os
import pathlib
import signal
import time

import pytest

from chainer_kfac.exceptions import ConfigError, KFACError, RunDirectoryError
from chainer_kfac.sweeps import Sweep, failure, runner
from chainer_kfac.sweeps.child import environment
from chainer_kfac.sweeps.console import Console
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.run_directory import RunDirectory
from chainer_kfac.training.stop import Interrupted


class FakeChild:
    """Stands for a process; a test says how many polls it lives and how it ends."""

    lives = 2
    seconds = 1.0
    reasons = {}  # seed -> why it fails
    alive = set()
    most_alive = 0
    started = []
    interrupted = []

    def __init__(self, config, directory, root, requests, variables, ranks=1):
        self.config, self.directory, self.variables = config, directory, variables
        self.ranks = ranks
        self._polls = 0
        self.alive.add(config.seed)
        self.started.append(self)
        type(self).most_alive = max(self.most_alive, len(self.alive))

    def poll(self):
        self._polls += 1
        return 0 if self._polls >= self.lives else None

    def finish(self):
        self.alive.discard(self.config.seed)
        reason = self.reasons.get(self.config.seed)
        if reason is None:
            self.directory.mkdir(parents=True)
            (self.directory / 'config.yaml').write_text(
                '\n'.join('{}: {}'.format(key, 'null' if value is None else repr(value))
                          for key, value in self.config.dump().items()))
            (self.directory / 'result.json').write_text(
                '{"best_val_acc": 0.5, "best_epoch": 1, "seconds_per_epoch": 2}')
        return reason

    def interrupt(self):
        self.interrupted.append(self.config.seed)

    def wait(self, timeout=None):
        self.alive.discard(self.config.seed)

    def kill(self):
        raise AssertionError('nothing is killed that ends by itself')


@pytest.fixture
def fake(monkeypatch):
    class Child(FakeChild):
        reasons, alive, started, interrupted = {}, set(), [], []
    monkeypatch.setattr(runner, 'Child', Child)
    monkeypatch.setattr(runner, 'POLL_SECONDS', 0.001)
    return Child


def configs(n):
    return [RunConfig(optimizer='adam', lr=0.1, epochs=2, seed=seed) for seed in range(n)]


@pytest.fixture
def make_sweep(tmp_path):
    def make(n, **options):
        output = io.StringIO()
        made = Sweep(configs(n), tmp_path / 'runs', console=Console(output), **options)
        return made, output
    return make


def test_everything_is_trained_and_the_caller_is_told_each_time(fake, make_sweep):
    calls = []
    sweep, output = make_sweep(3, after=lambda: calls.append(1))
    sweep.run()
    assert (sweep.finished, sweep.failed, len(calls)) == (3, [], 3)
    assert '[3/3] adam-bs128/seed2: 0.5000 at epoch 1, 2 s an epoch' in output.getvalue()


@pytest.mark.parametrize('jobs', [1, 2, 3])
def test_as_many_at_a_time_as_asked_for(fake, make_sweep, jobs):
    sweep, _ = make_sweep(5, jobs=jobs)
    sweep.run()
    assert fake.most_alive == jobs
    assert [child.config.seed for child in fake.started] == [0, 1, 2, 3, 4]


def test_finished_runs_are_skipped_and_counted(fake, make_sweep):
    make_sweep(2)[0].run()
    sweep, output = make_sweep(3)
    sweep.run()
    assert [child.config.seed for child in fake.started] == [0, 1, 2]
    assert sweep.finished == 3
    assert '2 of 3 runs were finished before' in output.getvalue()


def test_force_discards_all_runs_before_it_trains_the_first_again(fake, make_sweep):
    """Else an interrupted one would leave old results that the next command takes for its own."""
    make_sweep(2)[0].run()
    results = [child.directory / 'result.json' for child in fake.started]
    assert all(result.exists() for result in results)
    sweep, _ = make_sweep(2, force=True)
    sweep._console.status = lambda describe: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):
        sweep.run()
    assert [child.config.seed for child in fake.started] == [0, 1, 0]
    assert not any(result.exists() for result in results)


def test_force_discards_nothing_for_a_device_that_is_not_there(fake, make_sweep, tmp_path):
    make_sweep(1)[0].run()
    result = fake.started[0].directory / 'result.json'
    wanted = dataclasses.replace(configs(1)[0], device=99)
    with pytest.raises(KFACError):
        Sweep([wanted], tmp_path / 'runs', force=True, console=Console(io.StringIO())).run()
    assert result.exists()


def test_force_forgets_why_the_last_attempt_failed(fake, make_sweep):
    fake.reasons[0] = 'no space left'
    sweep, _ = make_sweep(2)
    sweep.run()
    directory = fake.started[0].directory
    directory.mkdir(parents=True, exist_ok=True)
    failure.write(directory, configs(1)[0], 2, 'no space left')
    sweep, _ = make_sweep(1, force=True)
    sweep._console.status = lambda describe: os.kill(os.getpid(), signal.SIGTERM)
    fake.lives = 10**9
    with pytest.raises(Interrupted):
        sweep.run()
    assert not (directory / failure.NAME).exists()


def test_force_leaves_a_run_in_use_alone(fake, make_sweep):
    make_sweep(1)[0].run()
    directory = fake.started[0].directory
    with RunDirectory(directory).opened(configs(1)[0]):
        sweep, _ = make_sweep(1, force=True)
        sweep.run()
    assert 'is in use by' in sweep.failed[0]
    assert (directory / 'result.json').exists()


def test_a_failure_is_reported_and_does_not_stop_the_others(fake, make_sweep):
    fake.reasons[1] = 'no space left'
    sweep, output = make_sweep(3)
    sweep.run()
    assert sweep.finished == 2
    sentence, = sweep.failed
    assert 'adam-bs128/seed1: no space left' in sentence
    assert sentence.endswith('console.txt)')
    assert '[2/3] FAILED' in output.getvalue()


def test_a_damaged_file_of_another_run_does_not_stop_the_sweep(fake, make_sweep):
    def after():
        raise RunDirectoryError('result.json is damaged')
    sweep, output = make_sweep(3, after=after)
    sweep.run()
    assert (sweep.finished, sweep.failed) == (3, [])
    assert 'The tables are as they were: result.json is damaged' in output.getvalue()


def test_a_run_that_cannot_be_begun_is_reported_and_the_others_go_on(fake, make_sweep, monkeypatch):
    class Child(fake):
        def __init__(self, config, *args):
            if config.seed == 1:
                raise NotADirectoryError(20, 'Not a directory', 'a file')
            super().__init__(config, *args)
    monkeypatch.setattr(runner, 'Child', Child)
    sweep, output = make_sweep(3)
    sweep.run()
    assert sweep.finished == 2
    assert 'seed1: cannot be begun: [Errno 20] Not a directory' in sweep.failed[0]


def test_no_error_leaves_children_behind(fake, make_sweep):
    fake.lives = 10**9
    sweep, _ = make_sweep(3, jobs=2)

    def fail(describe):
        raise MemoryError
    sweep._console.status = fail
    with pytest.raises(MemoryError):
        sweep.run()
    assert fake.interrupted == [0, 1]
    assert fake.alive == set()


def test_a_forced_sweep_is_not_to_be_forced_again(fake, make_sweep):
    fake.lives = 10**9
    for force, said in ((True, 'the same command without --force goes on'),
                        (False, 'the same command goes on')):
        sweep, _ = make_sweep(1, force=force)
        sweep._console.status = lambda describe: os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match=said):
            sweep.run()


def test_an_attempt_beside_another_one_leaves_no_failure_there(tmp_path):
    config, = configs(1)
    place = RunDirectory(tmp_path)
    with place.opened(config):
        failure.write(tmp_path, config, 2, 'in use')
        assert not (tmp_path / failure.NAME).exists()
        place.finish('result.json', {})
    failure.write(tmp_path, config, 2, 'in use')
    assert not (tmp_path / failure.NAME).exists()
    (tmp_path / 'result.json').unlink()
    failure.write(tmp_path, config, 1, 'no space left')
    assert json.loads((tmp_path / failure.NAME).read_text())['reason'] == 'no space left'


def test_a_directory_of_another_configuration_is_a_failure_by_name(fake, make_sweep, tmp_path):
    make_sweep(1)[0].run()
    sweep = Sweep([RunConfig(optimizer='adam', lr=0.5, epochs=2)], tmp_path / 'runs',
                  console=Console(io.StringIO()))
    sweep.run()
    assert len(fake.started) == 1
    sentence, = sweep.failed
    assert 'lr 0.1, not 0.5' in sentence


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_children_and_says_how_to_go_on(fake, make_sweep, number, request):
    # A sweep leaves an ignored signal alone, and tests under nohup inherit that.
    request.addfinalizer(functools.partial(
        signal.signal, number, signal.signal(number, signal.default_int_handler)))
    fake.lives = 10**9
    sweep, output = make_sweep(3, jobs=2)
    before = signal.getsignal(number)
    polls = iter(range(10**9))
    sweep._console.status = lambda describe: next(polls) == 5 and os.kill(os.getpid(), number)
    with pytest.raises(Interrupted, match='0 of 3 runs finished; the same command') as caught:
        sweep.run()
    assert caught.value.exit_code == 128 + number
    assert fake.interrupted == [0, 1]
    assert fake.alive == set()
    assert signal.getsignal(number) == before


def test_a_second_signal_kills(fake, make_sweep, monkeypatch):
    fake.lives = 10**9
    killed = []

    def wait(self, timeout=None):
        if not killed:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # the signal arrives here
    monkeypatch.setattr(fake, 'wait', wait)
    monkeypatch.setattr(fake, 'kill', lambda self: killed.append(self.config.seed))
    sweep, _ = make_sweep(2, jobs=2)
    sweep._console.status = lambda describe: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):
        sweep.run()
    assert killed == [0, 1]


def test_an_ignored_hangup_stays_ignored(fake, make_sweep):
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        sweep, _ = make_sweep(1)
        sweep._console.status = lambda describe: os.kill(os.getpid(), signal.SIGHUP)
        sweep.run()
        assert sweep.finished == 1
    finally:
        signal.signal(signal.SIGHUP, old)


def test_no_jobs_are_refused(make_sweep):
    with pytest.raises(ConfigError, match='jobs must be at least 1, got 0'):
        make_sweep(1, jobs=0)


def test_cores_are_shared_among_jobs():
    assert environment(0, jobs=2, cores=8, gpus=[], base={})['OMP_NUM_THREADS'] == '4'
    assert environment(0, jobs=3, cores=2, gpus=[], base={})['OPENBLAS_NUM_THREADS'] == '1'
    assert environment(0, 2, 8, [], {'OMP_NUM_THREADS': '3'}) == {'OMP_NUM_THREADS': '3'}


def test_each_slot_gets_a_gpu():
    def visible(slot, jobs, gpus):
        return environment(slot, jobs, 8, gpus, {}).get('CUDA_VISIBLE_DEVICES')
    assert [visible(slot, 3, ['4', '7']) for slot in range(3)] == ['4', '7', '4']
    assert visible(0, 1, ['0', '1']) is None
    assert visible(1, 2, []) is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_changing_line_below_the_others(monkeypatch):
    stream = Terminal()
    console = Console(stream)
    console.status(lambda: 'first')
    console.status(lambda: pytest.fail('too soon'))
    console.line('done')
    assert stream.getvalue() == '\r\x1b[Kfirst\r\x1b[Kdone\n'


def test_a_line_is_cut_to_the_width_of_the_terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '20')
    stream = Terminal()
    Console(stream).status(lambda: 'x' * 100)
    assert stream.getvalue() == '\r\x1b[K' + 'x' * 19


def test_a_file_gets_the_status_once_a_minute_if_it_has_changed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    stream = io.StringIO()
    console = Console(stream)
    for second in range(200):
        now[0] = float(second)
        console.status(lambda: 'epoch 1' if now[0] < 150 else 'epoch 2')
    assert stream.getvalue() == 'epoch 1\nepoch 2\n'


def test_a_disk_without_room_for_the_reason_does_not_end_the_sweep(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(pathlib.Path, 'write_bytes', full)
    failure.write(tmp_path, configs(1)[0], 2, 'the disk is full')
    assert list(tmp_path.iterdir()) == []
