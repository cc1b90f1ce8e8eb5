"""The check of a GPU without one: the whole of it in a dry run, and what holds it together."""
import importlib.metadata
import io
import json
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from benchmarks.gpu import command, environment, page, process, record, targets
from benchmarks.gpu.carried import AT_HOME, NEEDED
from benchmarks.gpu.steps import NAMES, STEPS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.mpi
def test_a_dry_run_does_everything_that_needs_no_card(tmp_path):
    done = subprocess.run(
        [sys.executable, 'benchmarks/gpu_check.py', '--dry-run', '--minutes', '9',
         '--work', tmp_path / 'work'],
        cwd=ROOT, capture_output=True, text=True)
    out = tmp_path / 'work/report'
    report = json.loads((out / 'report.json').read_text())
    assert done.returncode == 0, (done.stderr, report)
    states = {entry['name']: entry['state'] for entry in report['steps']}
    assert list(states) == [name for name in NAMES if name != 'card']
    for step in STEPS[1:]:
        assert states[step.name] == ('skipped' if step.dry else 'done'), step.name
        assert re.search('^{} +{}'.format(step.name, states[step.name]), done.stdout, re.MULTILINE)
    text = (out / 'report.md').read_text()
    assert 'No number on this page says anything about a card' in text
    assert 'Targets' not in text
    assert '`waits`, how often a step waits for the card | skipped: needs a card' in text
    assert str(tmp_path) not in text
    # Not in runs/, where they would be rows of the user's tables.
    assert list((tmp_path / 'work/runs').glob('*/*/*/*/*/result.json'))
    with tarfile.open(out / 'runs.tar.gz') as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert names == {'config.yaml', 'log', 'result.json'}


def outcome(code, limit, tmp_path, grace=0.5):
    log = tmp_path / 'log'
    found = process.run([sys.executable, '-c', code], limit, log, {}, folder=tmp_path, grace=grace)
    return found, process.tail(log)


def test_a_step_that_fails_crashes_or_hangs_ends(tmp_path):
    found, tail = outcome('print("said")', 20, tmp_path)
    assert (found.code, found.timed_out, tail) == (0, False, ['said'])
    found, _ = outcome('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)', 20, tmp_path)
    assert found.code == -signal.SIGSEGV
    start = time.monotonic()
    found, _ = outcome('import time; time.sleep(60)', 1, tmp_path)
    assert found.timed_out
    deaf = ('import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n'
            'time.sleep(60)')
    found, _ = outcome(deaf, 1, tmp_path)
    assert found.code == -signal.SIGKILL
    assert time.monotonic() - start < 30


def test_what_a_step_leaves_running_ends_with_it(tmp_path):
    code = ('import subprocess, sys\n'
            'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\n'
            'print(child.pid)')
    _, (pid,) = outcome(code, 20, tmp_path)
    time.sleep(0.2)
    status = Path('/proc', pid, 'stat')
    assert not status.exists() or status.read_text().rpartition(')')[2].split()[0] == 'Z'


def check(tmp_path, *arguments):
    """A check whose steps are replaced by one line of code."""
    args = command.parser().parse_args(['--dry-run', '--work', str(tmp_path), '--out',
                                        str(tmp_path / 'out'), *arguments])
    return command.Check(args, {}, time.monotonic() + 60 * args.minutes)


def test_a_failed_step_loses_nothing(tmp_path, monkeypatch, capsys):
    def fake(self, step, limit, out):
        entry = {'name': step.name, 'title': step.title, 'seconds': 1.0, 'date': 'today'}
        if step.name == 'inverses':
            return {**entry, 'state': 'failed', 'data': None, 'tail': ['at /home/me/x.py', 'No.']}
        return {**entry, 'state': 'done', 'data': None}

    monkeypatch.setattr(command.Check, '_outcome', fake)
    monkeypatch.setattr(command.Check, '_versions', lambda self: {})
    assert check(tmp_path).run() == 1
    assert 'Failed: inverses' in capsys.readouterr().err
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert [entry['state'] for entry in report['steps']].count('done') == 6
    text = (tmp_path / 'out/report.md').read_text()
    assert 'at x.py\nNo.' in text
    assert check(tmp_path).run() == 1           # the same again: only what failed is repeated
    assert capsys.readouterr().out.count('done before') == 6
    assert json.loads((tmp_path / 'out/report.json').read_text()) == report


def test_without_time_steps_are_skipped_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.Check, '_versions', lambda self: {})
    assert check(tmp_path, '--minutes', '0.1').run() == 0
    assert 'skipped no time left' in capsys.readouterr().out


def test_a_card_is_in_the_report(tmp_path, monkeypatch):
    def fake(self, step, limit, out):
        data = {'name': 'A 100', 'free_mb': 1.0} if step.name == 'card' else None
        return {'name': step.name, 'title': step.title, 'state': 'done', 'data': data,
                'seconds': 1.0, 'date': 'today'}

    monkeypatch.setattr(command.Check, '_outcome', fake)
    monkeypatch.setattr(command.Check, '_versions', lambda self: {})
    args = command.parser().parse_args(['--work', str(tmp_path), '--steps', 'doctor'])
    assert command.results_of('A 100') == Path('results/gpu/a-100')
    args.out = tmp_path / 'out'
    assert command.Check(args, {}, time.monotonic() + 60).run() == 0
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert report['card'] == {'name': 'A 100'}
    assert [entry['name'] for entry in report['steps']] == ['card', 'doctor']
    assert '## Targets' in (tmp_path / 'out/report.md').read_text()


def test_a_card_is_asked_for(tmp_path, capsys):
    args = command.parser().parse_args(['--work', str(tmp_path), '--steps', 'doctor'])
    lost = command.Check(args, {}, time.monotonic() + 60)
    lost._environment['CUDA_VISIBLE_DEVICES'] = ''
    assert lost.run() == 2
    assert 'no GPU that CuPy can use' in capsys.readouterr().err


def test_earlier_entries_stay_only_for_the_same_card_and_code(tmp_path):
    identity = {'card': {'name': 'a'}, 'code': '1', 'dry_run': False, 'versions': {},
                'from_wheels': {}}
    first = record.Record(tmp_path, identity)
    first.add({'name': 'doctor', 'title': 'd', 'state': 'done', 'seconds': 1, 'data': None})
    assert record.Record(tmp_path, identity).is_done('doctor')
    first.add({'name': 'doctor', 'title': 'd', 'state': 'skipped', 'why': 'no time'})
    assert record.Record(tmp_path, identity).is_done('doctor')
    assert not record.Record(tmp_path, {**identity, 'code': '2'}).is_done('doctor')


def full_report():
    """A report with every section, its numbers invented."""
    rows = [{'name': name, 'ms': 10.0, 'in_a_row_ms': 8.0, 'phases': {'forward': 3.0},
             'ratio': {'SGD': 1.9}} for name in ('SGD', 'K-FAC')]
    data = {
        'doctor': {'findings': [{'topic': 'GPU', 'state': 'ok', 'text': 'a | b', 'remedy': ''}]},
        'tests': {'passed': 9, 'failed': 1, 'skipped': 0, 'seconds': 3.0,
                  'failures': [{'test': 'a::b', 'message': 'c'}]},
        'times-2048': {'batch': 2048, 'rounds': 3, 'rows': rows},
        'waits': {'batch': 512, 'rows': [{'name': 'K-FAC', 'waits': 4.0, 'places': {'x:1': 4.0}}]},
        'memory': {'batch': 2048, 'limit_mb': 3814.7, 'estimate_mb': 3200.0,
                   'rows': [{'name': 'K-FAC', 'fits': False, 'peak_mb': None}]},
        'inverses': {'reference': 'cuSOLVER', 'rows': [
            {'n': 64, 'count': 1, 'ms': 1.0, 'reference_ms': 0.7, 'share': 0.7, 'gflops': 100.0,
             'error': 1e-6}]},
        'ranks': {'optimizers': {'K-FAC': 1e-5}}, 'nccl': {'difference': 0.0},
        'data': {'label': 'CIFAR-10', 'bytes': 184}, 'paper-2048': {'cells': {'adam': None}},
        'epochs': {'rows': [{'optimizer': 'momentum_sgd', 'batch': 2048, 'seconds': 0.9,
                             'first_seconds': 5.0, 'peak_memory_mb': 900.0}]}}
    card = {'name': 'A card', 'capability': '9.0', 'memory_mb': 80000.0, 'driver_cuda': 13000,
            'runtime_cuda': 13000, 'cupy': '14.2.0'}
    return {'format': 1, 'card': card, 'code': 'abc', 'dry_run': False, 'versions': {'numpy': '2'},
            'from_wheels': {}, 'steps': [
                {'name': step.name, 'title': step.title, 'state': 'done', 'seconds': 2.0,
                 'date': 'd', 'data': data[step.name]} for step in STEPS if step.name in data]}


def test_targets_are_held_against_what_was_found():
    met = {target.what: target.met for target in targets.targets(full_report())}
    assert met == {'tests that fail': False, 'seconds an epoch, SGD, batch 2048': True,
                   'K-FAC every step by SGD, batch 2048': True,
                   'waits of a step for the card': False, 'MB of K-FAC at batch 2048': False,
                   "share of cuSOLVER's rate, worst width": True}
    nothing = targets.targets({'steps': []})
    assert all(target.met is None for target in nothing)
    assert len(nothing) == 7


def test_the_page_has_a_section_for_every_step():
    text = page.markdown(full_report())
    for step in STEPS[1:]:
        assert step.name.partition('-')[0] in page.SECTIONS
    for words in ('1 failed', '| K-FAC | 4 | `x:1` (4) |', '| adam | not finished |', 'a / b',
                  '| K-FAC | **no** |', 'Capability 9.0'):
        assert words in text


def test_everything_that_is_needed_is_known():
    """The requirements of what runs, as the installed packages state them, are in the list."""
    seen, waiting = set(), ['chainer_kfac', 'pytest', 'hypothesis']
    while waiting:
        name = environment.normalised(waiting.pop())
        if name not in seen:
            seen.add(name)
            for text in importlib.metadata.requires(name) or []:
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate({'extra': ''}):
                    waiting.append(requirement.name)
    # compat stands in for what Chainer wants of setuptools; the package runs from the clone
    assert seen - {'setuptools', 'chainer-kfac'} <= set(NEEDED)
    assert set(AT_HOME) <= set(NEEDED)


def test_nothing_is_installed_where_everything_is(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, 'missing', list)
    assert environment.prepare(tmp_path / 'python', None) == {}
    monkeypatch.setattr(environment, 'missing', lambda: ['chainer', 'six'])
    (tmp_path / 'six-1.0-py3-none-any.whl').touch()
    with pytest.raises(RuntimeError, match='^chainer missing here'):
        environment.prepare(tmp_path / 'python', tmp_path)


def test_images_come_out_of_an_archive(tmp_path):
    pytest.importorskip('PIL')
    from PIL import Image

    from benchmarks.gpu import data
    random, source = np.random.default_rng(0), tmp_path / 'images.tar.xz'
    with tarfile.open(source, 'w:xz') as archive:
        for split, names in (('train', ['cat', 'ant', 'cat']), ('test', ['ant'])):
            for i, name in enumerate(names):
                stream = io.BytesIO()
                pixels = np.full((32, 32, 3), random.integers(0, 256, 3), np.uint8)
                Image.fromarray(pixels).save(stream, 'JPEG')
                member = tarfile.TarInfo('{}/{}/{}.jpg'.format(split, name, i))
                member.size = stream.tell()
                stream.seek(0)
                archive.addfile(member, stream)
    data.unpack(data.archive_in(tmp_path), tmp_path / 'cache/cifar-10.npz')
    with np.load(tmp_path / 'cache/cifar-10.npz') as arrays:
        assert arrays['train_y'].tolist() == [1, 0, 1]
        assert arrays['test_y'].dtype == np.uint8
        assert arrays['train_x'].shape == (3, 3072)
        first = arrays['train_x'][0].reshape(3, 32, 32)
        expected = np.random.default_rng(0).integers(0, 256, 3)
        assert abs(first.mean(axis=(1, 2)) - expected).max() < 3


def test_finished_runs_travel_and_come_back(tmp_path):
    from benchmarks.gpu import paper
    for name, files in (('done', ['config.yaml', 'log', 'result.json', 'snapshot_iter_3']),
                        ('half', ['config.yaml', 'log'])):
        for file in files:
            path = tmp_path / 'runs' / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    paper.bundle(tmp_path / 'runs', tmp_path / 'runs.tar.gz')
    (tmp_path / 'new').mkdir()
    paper.unbundle(tmp_path / 'runs.tar.gz', tmp_path / 'new')
    found = {path.relative_to(tmp_path / 'new').as_posix()
             for path in (tmp_path / 'new').rglob('*') if path.is_file()}
    assert found == {'done/config.yaml', 'done/log', 'done/result.json'}
