"""``chainer-kfac submit`` up to the scheduler, for which small programs stand here."""
import json
import logging
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

from chainer_kfac import cli, datasets
from chainer_kfac.jobs import record, schedulers
from chainer_kfac.sweeps import profiles

SBATCH = """\
case " $* " in
    *' --test-only '*) [ ! -e never ] || { cat never >&2; exit 1; } ;;
    *) if [ -e "refuse-$(basename "${@: -1}")" ]; then
           echo 'sbatch: error: invalid partition specified: gpus' >&2
           echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2
           exit 1
       fi
       echo x >> submitted
       echo "$(wc -l < submitted);cluster" ;;
esac
"""
QSUB = """\
[ "$*" != --version ] || { cat version >&2; exit 0; }
echo x >> submitted
grep -q '^#PBS -[Jt] ' "$1" && array='[]'
echo "$(wc -l < submitted)${array:-}.host"
"""
SWEEP = ['submit', 'table1', '--dataset', 'digits', '--optimizer', 'kfac']


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without the seconds that it takes to load images, which no test here looks at."""
    monkeypatch.setattr(datasets, 'load', lambda *_: None)


@pytest.fixture
def user(tmp_path, monkeypatch, caplog):
    """A folder with a space, commands of a scheduler, and ``user('submit', ...)``."""
    folder = tmp_path / 'my work'
    folder.mkdir()
    monkeypatch.chdir(folder)
    bin_folder = tmp_path / 'bin'
    bin_folder.mkdir()
    for name in ('bash', 'env'):
        (bin_folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv('PATH', str(bin_folder))
    for name in ('KFAC_ACCOUNT', 'KFAC_QUEUE', 'CHAINER_KFAC_MONGO', 'SGE_ROOT'):
        monkeypatch.delenv(name, raising=False)
    caplog.set_level(logging.INFO)

    def run(*arguments):
        return cli.main([*map(str, arguments)])

    def program(name, text=''):
        path = bin_folder / name
        path.write_text('#!/bin/bash\nPATH=/usr/bin:/bin\necho "${0##*/} $*" >> calls\n' + text)
        path.chmod(0o755)

    def slurm():
        for name in ('sbatch', 'squeue', 'scancel'):
            program(name)
        program('sbatch', SBATCH)
        program('squeue', 'cat states 2>/dev/null || true')

    run.folder, run.program, run.slurm = folder, program, slurm
    return run


def unwrapped(text):
    return text.replace(' \\\n       ', '')


def calls():
    return pathlib.Path('calls').read_text().splitlines()


def recorded():
    return list(record.read('runs'))


def finish(run):
    pathlib.Path(run).mkdir(parents=True, exist_ok=True)
    pathlib.Path(run, 'result.json').write_text('{}')


def test_an_array_is_submitted_and_recorded(user, capsys):
    user.slurm()
    assert user(*SWEEP, '--scheduler', 'slurm', '--batch', 128, 512, 'variant=a b') == 2
    assert 'variant' in capsys.readouterr().err
    assert user(*SWEEP, '--scheduler', 'slurm', '--batch', 128, 512, 'momentum=0.5',
                'variant=low') == 0
    out = capsys.readouterr().out
    assert '#SBATCH --array=1-2\n' in out
    assert out.endswith('1_1  kfac-table1 --optimizer kfac --batch 128\n'
                        '1_2  kfac-table1 --optimizer kfac --batch 512\n')
    submission, = recorded()
    script = submission.folder / 'kfac-table1.sh'
    assert calls() == ['sbatch --test-only {}'.format(script),
                       'sbatch --parsable {}'.format(script)]
    text = script.read_text()
    assert ('chainer-kfac table1 momentum=0.5 variant=low --profile paper --dataset digits '
            '--seeds 1 --root runs "${arguments[@]}"\n') in unwrapped(text)
    assert "\ncd '{}'\n".format(user.folder) in text
    assert '--output={}/%x.%A_%a.log\n'.format(submission.folder) in text
    for part, size in zip(submission.parts, (128, 512), strict=True):
        run, = part.runs
        assert run == 'runs/table1/paper/digits/kfac-bs{}-low/seed0'.format(size)
        entry, = json.loads(pathlib.Path(run, 'jobs.json').read_text())
        assert (entry['scheduler'], entry['job_id']) == ('slurm', part.job_id)
        assert pathlib.Path(entry['folder']) == submission.folder


@pytest.mark.skipif(shutil.which('make') is None, reason='make is not installed')
def test_make_submits_it_too(tmp_path, monkeypatch):
    monkeypatch.delenv('MAKEFLAGS', raising=False)
    shown = subprocess.run(
        ['make', '--dry-run', '--directory', pathlib.Path(__file__).parents[2], 'submit',
         'SCHEDULER=slurm', 'PROFILE=smoke', 'BATCH=128 512 2048', 'OPTIMIZER=momentum_sgd',
         'NODES=2', 'GPUS=4', 'DATASET=digits', 'SEEDS=3', 'HPARAMS=tuned'],
        capture_output=True, text=True, check=True).stdout
    words = shlex.split(re.search(r'chainer-kfac (submit .*?[^\\])\n', shown, re.DOTALL)[1])
    args = vars(cli._parser().parse_args([word for word in words if word.strip()]))
    assert (args['kind'], args['scheduler'], args['profile']) == ('table1', 'slurm', 'smoke')
    assert (args['batch'], args['optimizer']) == ([128, 512, 2048], ['momentum_sgd'])
    assert (args['nodes'], args['gpus_per_node'], args['seeds']) == (2, 4, 3)
    assert (args['dataset'], args['hparams']) == ('digits', 'tuned')


def test_what_is_finished_or_submitted_is_not_submitted_again(user, caplog):
    user.slurm()
    finish('runs/table1/paper/digits/kfac-bs128/seed0')
    assert user(*SWEEP) == 0
    assert [part.about for part in recorded()[0].parts] == [
        '--optimizer kfac --batch 512', '--optimizer kfac --batch 2048']
    pathlib.Path('states').write_text('1_1|PENDING|Resources\n1_2|FAILED|NonZeroExitCode\n')
    caplog.clear()
    assert user(*SWEEP) == 0
    assert '--batch 128: finished' in caplog.text
    assert '--batch 512: already submitted as 1_1' in caplog.text
    caplog.clear()
    assert user(*SWEEP, '--root', str(pathlib.Path('runs').absolute()), '--batch', '512') == 0
    assert '--batch 512: already submitted as 1_1' in caplog.text
    assert [part.about for part in recorded()[1].parts] == ['--optimizer kfac --batch 2048']
    assert len(json.loads(pathlib.Path(
        'runs/table1/paper/digits/kfac-bs2048/seed0/jobs.json').read_text())) == 2
    for size in (512, 2048):
        finish('runs/table1/paper/digits/kfac-bs{}/seed0'.format(size))
    caplog.clear()
    assert user(*SWEEP) == 0
    assert caplog.text.count('finished') == 3
    assert len(recorded()) == 2


def test_several_seeds_are_one_part_and_wait_for_the_last(user):
    user.slurm()
    finish('runs/table1/paper/digits/kfac-bs128/seed0')
    assert user(*SWEEP, '--batch', 128, '--seeds', 2) == 0
    part, = recorded()[0].parts
    assert [run[-5:] for run in part.runs] == ['seed0', 'seed1']


def test_a_part_may_be_a_batch_size(user):
    user.slurm()
    assert user('submit', 'table1', '--dataset', 'digits', '--per', 'batch') == 0
    assert [part.about for part in recorded()[0].parts] == [
        '--optimizer momentum_sgd adam kfac --batch {}'.format(size) for size in (128, 512, 2048)]
    assert [len(part.runs) for part in recorded()[0].parts] == [3, 3, 3]


def test_the_study_and_one_run_are_submitted_too(user):
    user.slurm()
    assert user('submit', 'study', '--dataset', 'digits', '--optimizer', 'adam') == 0
    pathlib.Path('states').write_text('1_1|RUNNING|None\n')
    assert user('submit', 'table1', '--dataset', 'digits', '--optimizer', 'adam', '--batch',
                128) == 0  # the study trains that run
    assert [part.runs[0].split('/')[1] for part in recorded()[0].parts] == [
        'table1', 'study', 'table1', 'study', 'table1']
    pathlib.Path('my run.yaml').write_text('{optimizer: adam, epochs: 1, lr: 1, dataset: digits}')
    assert user('submit', 'train', 'my run.yaml', 'lr=0.1', '--nodes', 2) == 0
    text = (recorded()[1].folder / 'kfac-train.sh').read_text()
    assert "chainer-kfac train 'my run.yaml' lr=0.1 --root runs\n" in text
    assert '#SBATCH --nodes=2\n' in text
    assert '--array' not in text


def test_a_search_is_a_driver_and_workers(user, caplog):
    pytest.importorskip('pymongo')
    user.slurm()
    search = ['submit', 'search', '--optimizer', 'kfac', '--batch', 512, '--trials', 12,
              '--workers', 3, '--profile', 'smoke', '--mongo', 'mongodb://db.example.org/x']
    assert user(*search) == 0
    submission, = recorded()
    assert submission.jobs == {'kfac-driver': '1', 'kfac-worker': '2'}
    driver, worker = [unwrapped((submission.folder / (name + '.sh')).read_text())
                      for name in submission.jobs]
    common = '--exp-key kfac-bs512-smoke-cifar10 --root runs'
    assert common in driver
    assert '--workers 0' in driver
    assert 'gres' not in driver
    assert common in worker
    assert '--until-done' in worker
    assert '#SBATCH --array=1-3' in worker
    for text in (driver, worker):
        assert '--mongo mongodb://db.example.org/x' in text
    pathlib.Path('states').write_text('1|RUNNING|None\n2_1|RUNNING|None\n')
    assert user(*search) == 0
    assert 'already submitted as 1' in caplog.text
    assert len(recorded()) == 1


def test_a_search_is_given_all_its_options(user, capsys):
    pytest.importorskip('pymongo')
    assert user('submit', 'search', '--optimizer', 'kfac', '--batch', 512, '--dataset', 'cifar10',
                '--select-on', 'holdout', '--prune', 'none', '--startup', 8, '--profile', 'short',
                '--mongo', 'mongodb://db.example.org/x', '--dry-run', 'lr_decay_epoch=70') == 0
    driver = unwrapped(capsys.readouterr().out)
    assert ('search lr_decay_epoch=70 --optimizer kfac --batch 512 --trials 100 --startup 8 '
            '--prune none --select-on holdout --profile short --dataset cifar10 --exp-key '
            'kfac-bs512-short-cifar10-holdout-lr_decay_epoch_70 ') in driver


@pytest.mark.parametrize(('words', 'says'), [
    (['--trials', '0'], '--trials must be at least 1, got 0'),
    (['--exp-key', 'a b'], "an experiment is named by letters"),
    (['--space', 'none.yaml'], 'cannot read none.yaml'),
    (['lr_decay_epoch=null'], 'lr_decay')])
def test_a_search_that_could_not_begin_is_not_submitted(user, capsys, words, says):
    pytest.importorskip('pymongo')
    assert user('submit', 'search', '--optimizer', 'kfac', '--batch', 512, '--mongo',
                'mongodb://db.example.org/x', '--dry-run', *words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1


def test_a_search_without_a_database_says_so(user, capsys):
    pytest.importorskip('pymongo')
    user.slurm()
    assert user('submit', 'search', '--optimizer', 'kfac', '--batch', 512) == 2
    assert '--mongo' in capsys.readouterr().err
    assert not pathlib.Path('runs').exists()


def test_a_password_that_no_job_would_have_is_asked_for_elsewhere(user, capsys, monkeypatch):
    pytest.importorskip('pymongo')
    user.slurm()
    monkeypatch.setenv('CHAINER_KFAC_MONGO', 'mongodb://me:secret@db.example.org/x')
    assert user('submit', 'search', '--optimizer', 'kfac', '--batch', 512) == 2
    error = capsys.readouterr().err
    assert '--password-file' in error
    assert 'secret' not in error
    pathlib.Path('env.sh').write_text('export CHAINER_KFAC_MONGO=mongodb://me:secret@db.example.org')
    assert user('submit', 'search', '--optimizer', 'kfac', '--batch', 512, '--env', 'env.sh') == 0
    for path in pathlib.Path('runs').rglob('*'):
        assert path.is_dir() or 'secret' not in path.read_text()


def test_what_is_refused_leaves_nothing(user, capsys):
    user.slurm()
    pathlib.Path('refuse-kfac-table1.sh').touch()
    assert user(*SWEEP, '--queue', 'gpus') == 2
    assert capsys.readouterr().err == (
        'chainer-kfac submit: sbatch refuses: invalid partition specified: gpus; Batch job '
        'submission failed: Invalid partition name specified\n')
    assert list(pathlib.Path('runs').rglob('*.*')) == []


def test_what_could_never_run_is_not_submitted(user, capsys):
    user.slurm()
    pathlib.Path('never').write_text(
        'allocation failure: Requested node configuration is not available\n')
    assert user(*SWEEP, '--cpus-per-rank', 500) == 2
    assert 'Requested node configuration is not available' in capsys.readouterr().err
    assert not any('--parsable' in call for call in calls())


def test_all_or_none(user, capsys):
    pytest.importorskip('pymongo')
    user.slurm()
    pathlib.Path('refuse-kfac-worker.sh').touch()
    assert user('submit', 'search', '--optimizer', 'kfac', '--batch', 512, '--mongo',
                'mongodb://db.example.org') == 2
    assert calls()[-1] == 'scancel --quiet 1'
    assert recorded() == []


def test_status_tells_what_became_of_each_part(user, capsys):
    user.slurm()
    assert user('submit', '--status') == 0
    assert capsys.readouterr().out == 'nothing was submitted with the runs in runs\n'
    assert user('submit', 'table1', '--dataset', 'digits', '--batch', 128) == 0
    pathlib.Path('states').write_text('1_1|RUNNING|None\n1_2|FAILED|NonZeroExitCode\n')
    pathlib.Path('runs/table1/paper/digits/adam-bs128/seed0/failure.json').write_text(
        '{"reason": "no disk"}')
    capsys.readouterr()
    assert user('submit', '--status') == 0
    folder = recorded()[0].folder
    assert capsys.readouterr().out.splitlines()[1:] == [
        '  1_1  kfac-table1 --optimizer momentum_sgd --batch 128: running, 0 of 1 runs finished',
        '  1_2  kfac-table1 --optimizer adam --batch 128: failed, 0 of 1 runs finished: no disk',
        '  1_3  kfac-table1 --optimizer kfac --batch 128: ended, 0 of 1 runs finished: '
        'see the logs in {}'.format(folder)]
    finish('runs/table1/paper/digits/kfac-bs128/seed0')
    assert user('submit', '--status') == 0
    assert '1_3  kfac-table1 --optimizer kfac --batch 128: finished\n' in capsys.readouterr().out


def test_what_another_cluster_has_is_not_in_the_way(user, capsys):
    user.slurm()
    assert user(*SWEEP, '--batch', 128) == 0
    path = recorded()[0].folder / 'job.json'
    path.write_text(path.read_text().replace('"slurm"', '"torque"'))
    capsys.readouterr()
    assert user('submit', '--status') == 0
    assert 'unknown here, without qsub, 0 of 1 runs finished' in capsys.readouterr().out
    assert user(*SWEEP, '--batch', 128) == 0
    assert len(recorded()) == 2


def test_cancel_knows_only_what_was_submitted_from_here(user, capsys):
    user.slurm()
    assert user(*SWEEP) == 0
    assert user('submit', '--cancel', '77') == 2
    assert '--cancel 77: nothing with that number' in capsys.readouterr().err
    assert not any(call.startswith('scancel') for call in calls())
    for name, cancelled in (('1_2', '1_2'), ('1', '1'), ('all', '1')):
        assert user('submit', '--cancel', name) == 0
        assert [call for call in calls() if 'scancel' in call][-1] == 'scancel --quiet ' + cancelled


@pytest.fixture
def pbs(user):
    """PBS: `qsub` here, and `pathlib.Path('version')` is what it says to --version."""
    for name in ('qsub', 'qstat', 'qdel'):
        user.program(name)
    user.program('qsub', QSUB)
    user.program('qstat', '[ "$1" != -t ] || cat states 2>/dev/null')
    pathlib.Path('version').write_text('pbs_version = 22.05.11\n')
    return user


@pytest.mark.parametrize(('version', 'dialect', 'option'), [
    ('pbs_version = 22.05.11\n', 'openpbs', '#PBS -J 1-3\n'),
    ('Version: 6.1.2\nCommit: 661e092552de43a785c15d39a3634a541d86898e\n', 'torque',
     '#PBS -t 1-3\n')])
def test_pbs_is_asked_which_it_is(pbs, version, dialect, option):
    pathlib.Path('version').write_text(version)
    assert pbs(*SWEEP, '--scheduler', 'pbs') == 0
    submission, = recorded()
    assert submission.scheduler == dialect
    assert option in (submission.folder / 'kfac-table1.sh').read_text()
    assert [part.job_id for part in submission.parts] == ['1[{}].host'.format(n) for n in (1, 2, 3)]


def test_a_part_that_pbs_continues_is_followed(pbs, capsys):
    assert pbs(*SWEEP, '--batch', 128, 512) == 0
    folder = recorded()[0].folder
    (folder / 'continued').write_text('kfac-table1 2 8.host\nkfac-table1 2 9.host\n')
    pathlib.Path('states').write_text(
        'Job id  Name  User  Time Use S Queue\n------ ----- ----- ----- - -----\n'
        '1[1].host  kfac-table1  me  00:01:00 R workq\n1[2].host  kfac-table1  me  0 X workq\n'
        '9.ho*  kfac-table1  me  0 Q workq\n')  # cut off
    capsys.readouterr()
    assert pbs('submit', '--status') == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith('  1[1].host  kfac-table1 --optimizer kfac --batch 128: running')
    assert lines[2].startswith('  9.host  kfac-table1 --optimizer kfac --batch 512: pending')
    assert pbs('submit', '--cancel', '1[2].host') == 0
    assert [call for call in calls() if call.startswith('qdel')] == [
        'qdel 1[2].host', 'qdel 8.host', 'qdel 9.host']


@pytest.mark.parametrize(('present', 'name', 'dialect'), [
    (['sbatch', 'qsub'], 'auto', 'slurm'), (['qsub'], 'auto', 'openpbs'), ([], 'auto', 'slurm'),
    (['sbatch', 'qsub'], 'pbs', 'openpbs'), ([], 'pbs', 'openpbs'), ([], 'torque', 'torque')])
def test_which_scheduler_is_meant(user, present, name, dialect):
    for each in present:
        user.program(each)
    assert schedulers.dialect(name) == dialect


@pytest.mark.parametrize('scheduler', ['slurm', 'pbs', 'openpbs', 'torque', 'auto'])
def test_a_dry_run_prints_a_script_and_does_nothing(user, capsys, scheduler):
    assert user(*SWEEP, '--scheduler', scheduler, '--dry-run') == 0
    out = capsys.readouterr().out
    assert out.startswith('#!/bin/bash\n')
    assert out.count('#!/bin/bash') == 1
    assert list(pathlib.Path().iterdir()) == []


def test_account_and_queue_come_from_the_environment_file(user, capsys):
    pathlib.Path('jobscripts').mkdir()
    pathlib.Path('jobscripts/env.sh').write_text('export KFAC_ACCOUNT=gs00 KFAC_QUEUE=gpu\n')
    assert user(*SWEEP, '--dry-run', '--scheduler', 'slurm', '--queue', 'big') == 0
    out = capsys.readouterr().out
    assert '#SBATCH --account=gs00\n#SBATCH --partition=big\n' in out
    assert '\nsource jobscripts/env.sh\n' in out


@pytest.mark.parametrize(('arguments', 'says'), [
    (['table1', '--scheduler', 'slurm'], 'there is no sbatch here: submit on a login node'),
    (['table1', '--scheduler', 'torque'], 'there is no qsub here'),
    (['table1'], 'there is no sbatch or qsub here'),
    (['table1', '--account', 'my project', '--dry-run'], "--account must be a name without spaces"),
    (['table1', '--env', 'none.sh', '--dry-run'], '--env none.sh: there is no such file'),
    (['table1', '--batch', '64', '--dry-run'], 'no cell has batch size 64'),
    (['table1', '--profile', 'shrot', '--dry-run'], "unknown profile 'shrot'"),
    (['table1', 'dampling=1', '--dry-run'], 'damping?'),
    (['table1', '--seeds', '0', '--dry-run'], 'at least 1, got 0'),
    (['train', 'none.yaml', '--dry-run'], 'cannot read none.yaml'),
    ([], 'say what: table1, study, search or train'),
    (['--status', 'table1', '--dry-run'], '--status and --cancel are not for table1')])
def test_bad_input_is_one_sentence_and_exit_2(user, capsys, arguments, says):
    assert user('submit', *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert list(pathlib.Path().iterdir()) == []


def test_an_environment_that_fails_is_found_before_anything_waits(user, capsys):
    user.slurm()
    pathlib.Path('my env.sh').write_text('# modules\nmodule load cuda/99\n')
    assert user(*SWEEP, '--env', 'my env.sh') == 2
    error = capsys.readouterr().err
    assert 'my env.sh fails at line 2: module load cuda/99 (' in error
    assert 'module: command not found)' in error
    assert not pathlib.Path('calls').exists()


def test_another_scheduler_is_referred_to_the_examples(user, capsys, monkeypatch):
    user.program('qsub')
    monkeypatch.setenv('SGE_ROOT', '/opt/sge')
    assert user(*SWEEP) == 2
    assert 'jobscripts/sites/' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['', 'Submitted, perhaps', '12 13'])
def test_an_answer_without_a_number_is_shown(user, capsys, text):
    user.slurm()
    user.program('sbatch', 'echo "{}"'.format(text))
    assert user(*SWEEP) == 2
    assert 'has not said the number of the job' in capsys.readouterr().err


def test_a_silent_scheduler_is_not_waited_for(user, capsys, monkeypatch):
    user.slurm()
    user.program('squeue', 'exec sleep 10')
    assert user(*SWEEP) == 0
    monkeypatch.setattr(schedulers, 'SECONDS', 0.2)
    assert user('submit', '--status') == 2
    assert 'squeue did not answer within 0.2 s' in capsys.readouterr().err


def test_a_damaged_record_is_named(user, capsys):
    user.slurm()
    assert user(*SWEEP) == 0
    (recorded()[0].folder / 'job.json').write_text('{')
    assert user('submit', '--status') == 2
    assert 'job.json is damaged' in capsys.readouterr().err


def test_data_that_cannot_be_had_stops_it(user, capsys, monkeypatch):
    from chainer_kfac.exceptions import DataError
    user.slurm()

    def refuse(*_):
        raise DataError('no CIFAR-10')
    monkeypatch.setattr(profiles.datasets, 'load', refuse)
    assert user('submit', 'table1') == 2
    assert 'no CIFAR-10' in capsys.readouterr().err
    assert not pathlib.Path('runs').exists()
    assert os.listdir() == []
