"""Unmodified programs under ``python -m chainer_kfac.compat``."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chainer_kfac.compat import __main__ as launcher

PROGRAMS = Path(__file__).with_name('programs')


def launch(*arguments, options=(), **kwargs):
    """Run ``python OPTIONS -m chainer_kfac.compat ARGUMENTS``."""
    return subprocess.run(
        [sys.executable, *options, '-m', 'chainer_kfac.compat', *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120, **kwargs)


@pytest.fixture
def script(tmp_path):
    """Writes a program and returns its path."""
    def write(text, name='program.py'):
        path = tmp_path / name
        path.write_text(text)
        return path
    return write


STATE = """
import json, sys
spec = __spec__ and __spec__.name
print(json.dumps([sys.argv, sys.path[0], __name__, spec, sys.modules['__main__'].__name__,
                  sys.flags.optimize, [p for p in sys.path if p.endswith('compat/site')]]))
"""


def test_a_script_sees_what_plain_python_shows_it(script):
    path = script(STATE)
    result = launch(path, '-m', 'x', '--help', options=['-O'])
    plain = subprocess.run([sys.executable, '-O', path, '-m', 'x', '--help'],
                           capture_output=True, text=True, check=True)
    assert result.stdout == plain.stdout
    assert json.loads(result.stdout)[0] == [str(path), '-m', 'x', '--help']


def test_a_module_sees_what_plain_python_shows_it(script, tmp_path):
    script(STATE, 'some_module.py')
    result = launch('-m', 'some_module', 'x', cwd=tmp_path)
    plain = subprocess.run([sys.executable, '-m', 'some_module', 'x'], cwd=tmp_path,
                           capture_output=True, text=True, check=True)
    assert result.stdout == plain.stdout


def test_exit_codes_and_tracebacks_are_the_programs_own(script):
    assert launch(script('import chainer, sys; sys.exit(7)')).returncode == 7
    path = script('import chainer\nraise RuntimeError("as written")\n')
    result = launch(path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == 'Traceback (most recent call last):'
    assert result.stderr.count('File "') == 1
    assert str(path) in result.stderr
    result = launch('no_such_program.py')
    assert result.returncode == 2
    assert "can't open file" in result.stderr


def test_ctrl_c_ends_the_program_as_it_ends_python(script):
    path = script('import time\nprint("ready", flush=True)\ntime.sleep(60)\n')
    with subprocess.Popen([sys.executable, '-m', 'chainer_kfac.compat', path], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == 'ready\n'
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert stderr.strip().endswith('KeyboardInterrupt')


def test_usage():
    assert launch('--help').returncode == 0
    assert launch().returncode == 2
    result = launch('x.py', options=['-I'])
    assert result.returncode == 2
    assert 'PYTHONPATH' in result.stderr


def test_numpy_has_its_old_names_before_chainer_is_imported(script):
    result = launch(script('import numpy as np\nprint(np.float(1), np.product([2, 3]))'))
    assert result.stdout == '1.0 6\n', result.stderr


def test_a_program_without_numpy_pays_nothing(script):
    result = launch(script('import sys\n'
                           'print([n for n in ("numpy", "chainer_kfac") if n in sys.modules])'))
    assert result.stdout == '[]\n'


CHILDREN = """
import multiprocessing, subprocess, sys
import numpy as np
import chainer, chainermn
import chainer.links as L

def work(n):
    return np.int(n) * 2, type(L.Linear(2, n)).__name__

if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(work, [1, 2]) == [(2, 'Linear'), (4, 'Linear')], method
    code = 'import chainer, chainermn, numpy; print(numpy.sctypes["int"][0].__name__)'
    assert subprocess.check_output([sys.executable, '-c', code]) == b'int8\\n'
    examples = chainer.datasets.TupleDataset(np.zeros((10, 3), 'f'), np.arange(10))
    iterator = chainer.iterators.MultiprocessIterator(examples, 4, n_processes=2, shuffle=False)
    assert [t for _, t in iterator.next()] == [0, 1, 2, 3]
    iterator.finalize()
    print('done')
"""


def test_child_processes_are_patched(script):
    result = launch(script(CHILDREN))
    assert result.stdout == 'done\n', result.stderr


def test_a_child_without_this_environment_is_left_alone(script, tmp_path):
    """Another Python, or one with NumPy and nothing else."""
    (tmp_path / 'bare').mkdir()
    (tmp_path / 'bare/numpy.py').write_text('import sys\nprint(len(sys.path))')
    child = ('import os, subprocess, sys\n'
             'run = [sys.executable, "-S", "-c", "import sys; sys.path.insert(0, {bare!r}); '
             'import sitecustomize, numpy"]\n'
             'same = subprocess.run(run, capture_output=True, text=True, check=True).stdout\n'
             'os.environ["CHAINER_KFAC_PYTHON"] = "3.8"\n'
             'other = subprocess.run(run, capture_output=True, text=True, check=True).stdout\n'
             'print("done", same == other)').format(bare=str(tmp_path / 'bare'))
    result = launch(script(child))
    assert result.stdout == 'done True\n', result.stderr


def test_a_sitecustomize_of_the_users_own_still_runs(script, tmp_path):
    site = tmp_path / 'own'
    site.mkdir()
    (site / 'sitecustomize.py').write_text('import sys\nsys.own = 1\n')
    path = script('import sys, chainer, sitecustomize\nprint(sys.own, sitecustomize.__file__)')
    environment = dict(os.environ, PYTHONPATH=str(site))
    result = launch(path, env=environment)
    assert result.stdout.split() == ['1', str(site / 'sitecustomize.py')], result.stderr


def test_a_clone_that_is_not_installed_serves_programs_elsewhere(script, tmp_path):
    clone = Path(launcher.__file__).parents[2]
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    path = script('import os, subprocess, sys\nos.chdir({!r})\nimport chainer\n'
                  'subprocess.run([sys.executable, "-c", "import chainer"], check=True)\n'
                  'print("done")'.format(str(elsewhere)))
    result = launch(path, cwd=clone, options=['-W', 'ignore'])
    assert result.stdout == 'done\n', result.stderr


@pytest.mark.parametrize(('options', 'kept'), [
    (['-m', 'chainer_kfac.compat'], []),
    (['-mchainer_kfac.compat'], []),
    (['-W', 'error', '-um', 'chainer_kfac.compat'], ['-W', 'error', '-u']),
    (['-Oumchainer_kfac.compat'], ['-Ou']),
])
def test_python_gets_its_own_options(options, kept):
    program = ['-m', 'module', '-m', 'chainer_kfac.compat']
    assert launcher.command(program, ['python', *options, *program]) == [
        sys.executable, *kept, *program]


def test_pythonpath_keeps_its_entries_and_its_order():
    site = str(Path(launcher.__file__).with_name('site'))
    path = launcher.environment({'PYTHONPATH': 'a::b'})['PYTHONPATH']
    assert path == ':'.join([site, 'a', '', 'b'])       # '' is the directory it is started in
    assert launcher.environment({'PYTHONPATH': ''})['PYTHONPATH'] == site
    again = launcher.environment({'PYTHONPATH': site + ':a'})['PYTHONPATH']
    assert again == site + ':a'


def test_starting_python_under_the_hook_is_cheap():
    environment = launcher.environment(dict(os.environ))

    def seconds(env):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, '-c', 'pass'], env=env, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(environment) < seconds(dict(os.environ)) + 0.1


@pytest.mark.mpi
def test_chainermn(mpirun, tmp_path):
    result = mpirun(2, '-m', 'chainer_kfac.compat', PROGRAMS / 'use_chainermn.py', tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == ['rank 0 of 2: done', 'rank 1 of 2: done']
