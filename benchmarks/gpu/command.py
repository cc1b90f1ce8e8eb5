"""The command line of the check, and the order of what it does."""
import argparse
import datetime
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu import environment, process
from benchmarks.gpu.record import ROOT, Record, code_digest
from benchmarks.gpu.steps import NAMES, STEPS, Step

EXAMPLE = """\
examples:
  make gpu-wheels                                  # on a machine with network: wheels/gpu
  benchmarks/gpu_check.py --wheels wheels/gpu --data cifar10.tar.xz --minutes 9
  benchmarks/gpu_check.py --steps paper-2048 --minutes 20
  benchmarks/gpu_check.py --dry-run                # no card: NumPy stands in

Writes report.json and report.md after every step. A later call goes on where it stopped.
docs/gpu.md explains the steps.
"""


def main(arguments: list[str] | None = None) -> int:
    """Do all steps for which there is time. Returns the exit code: 1 if one failed."""
    args = parser().parse_args(arguments)
    end = time.monotonic() + 60 * args.minutes
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        installed = environment.prepare(args.work.absolute() / 'packages', args.wheels)
    except RuntimeError as error:
        print('gpu-check: {}'.format(error), file=sys.stderr)
        return 2
    return Check(args, installed, end).run()


def parser() -> argparse.ArgumentParser:
    """All options."""
    result = argparse.ArgumentParser(
        prog='benchmarks/gpu_check.py', epilog=EXAMPLE,
        description='Prove and time the GPU path on this machine, the most important steps first.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('--minutes', type=float, default=10, metavar='M',
                        help='stop by itself after so long (default: %(default)g)')
    result.add_argument('--wheels', type=Path, metavar='DIR',
                        help='wheels of what is missing here (make gpu-wheels)')
    result.add_argument('--data', type=Path, metavar='PATH',
                        help='archive of CIFAR-10 as JPEG files, or the folder that holds it')
    result.add_argument('--out', type=Path, metavar='DIR',
                        help='where the report goes (default: results/gpu/<card>; of a dry '
                             'run, below --work)')
    result.add_argument('--work', type=Path, default=Path('runs/gpu-check'), metavar='DIR',
                        help='packages, logs, data set (default: %(default)s)')
    result.add_argument('--root', type=Path, metavar='DIR',
                        help='folder of the training runs (default: runs; of a dry run, '
                             'one below --work)')
    result.add_argument('--resume', type=Path, metavar='FILE',
                        help='runs.tar.gz of an earlier call: its finished runs are kept')
    result.add_argument('--steps', nargs='+', choices=NAMES, default=list(NAMES), metavar='STEP',
                        help='only these: {}'.format(', '.join(NAMES)))
    result.add_argument('--again', action='store_true', help='repeat steps that are done')
    result.add_argument('--jobs', type=int, default=3, metavar='N',
                        help='training runs that share the card (default: %(default)s)')
    result.add_argument('--dry-run', action='store_true',
                        help='without a card: NumPy stands in, on tiny problems')
    return result


class Check:
    """One call of the command.

    Args:
        args: parsed options.
        installed (dict): packages that came from wheels.
        end (float): when `time.monotonic` says that the time is over.
    """

    def __init__(self, args, installed, end):
        self._args, self._installed, self._end = args, installed, end
        # The runs of a dry run are no rows of the user's tables.
        self._root = args.root or (args.work / 'runs' if args.dry_run else Path('runs'))
        self._logs = args.work.absolute() / 'logs'
        self._logs.mkdir(exist_ok=True)
        self._environment = environment.variables(args.work.absolute() / 'packages', ROOT)
        if args.data is not None or args.dry_run:
            # Not the user's own cache: what is unpacked here goes with the rest.
            self._environment['CHAINER_DATASET_ROOT'] = str(args.work.absolute() / 'datasets')

    def run(self) -> int:
        """All steps. Returns the exit code."""
        entry = self._look_at_card()
        if entry is None:
            return 2
        # What changes from moment to moment would make every report another card's.
        card = {key: value for key, value in entry['data'].items()
                if key not in ('free_mb', 'nvidia_smi')}
        # A dry run leaves nothing among the results.
        self._out = (self._args.out or (self._args.work / 'report' if self._args.dry_run
                                        else results_of(card['name']))).absolute()
        self._record = Record(self._out, {
            'card': card, 'code': code_digest(), 'dry_run': self._args.dry_run,
            'versions': self._versions(), 'from_wheels': self._installed})
        if not self._args.dry_run:
            self._record.add(entry)
        if self._args.resume is not None:
            self._unbundle()
        failed = [step.name for step in STEPS
                  if step.name in self._args.steps and step.name != 'card' and not self._do(step)]
        print('Report: {}'.format(self._out / 'report.md'))
        if failed:
            print('Failed: {}'.format(', '.join(failed)), file=sys.stderr)
        return int(bool(failed))

    def _look_at_card(self):
        """The entry of the first step, or None where there is no card that CuPy can use."""
        if self._args.dry_run:
            return {'data': {'name': 'NumPy, no card'}}
        entry = self._outcome(STEPS[0], 60, self._args.work.absolute())
        if entry['state'] == 'done':
            return entry
        print('gpu-check: no GPU that CuPy can use ({}): install the extra cuda13 and look at '
              'nvidia-smi, or add --dry-run'.format((entry['tail'] or ['no message'])[-1]),
              file=sys.stderr)
        return None

    def _do(self, step: Step) -> bool:
        """Run one step if it can be run; whether it did not fail."""
        if self._record.is_done(step.name) and not self._args.again:
            print('{:12} done before'.format(step.name))
            return True
        left = self._end - time.monotonic()
        why = None
        if self._args.dry_run and step.dry:
            why = step.dry
        elif left < step.least:
            why = 'no time left: {:.0f} s of the {:.0f} s that it needs'.format(left, step.least)
        elif self._lacks_data(step):
            why = 'CIFAR-10 is not in the cache: give --data'
        if why is None:
            # The limits are those of a machine with a card; NumPy may be on a busy, small one.
            limit = step.seconds * (4 if self._args.dry_run else 1)
            entry = self._outcome(step, min(limit, left), self._out)
        else:
            entry = {'name': step.name, 'title': step.title, 'state': 'skipped', 'why': why}
        self._record.add(entry)
        print('{:12} {} {}'.format(step.name, entry['state'],
                                   why or '{:.1f} s'.format(entry['seconds'])), flush=True)
        return entry['state'] not in ('failed', 'timed out')

    def _outcome(self, step, limit, out):
        """Run a step in its process; its entry in the report."""
        log, result = self._logs / (step.name + '.txt'), self._logs / (step.name + '.json')
        request = self._logs / (step.name + '.options.json')
        result.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        request.write_text(json.dumps(self._options(out)), encoding='utf-8')
        outcome = process.run(
            [sys.executable, '-m', 'benchmarks.gpu.child', step.name, str(request), str(result)],
            limit, log, self._environment, folder=ROOT, grace=min(step.grace, limit / 2))
        data = json.loads(result.read_text(encoding='utf-8')) if result.exists() else None
        entry = {'name': step.name, 'title': step.title, 'seconds': round(outcome.seconds, 1),
                 'date': datetime.date.today().isoformat(), 'data': data}
        if data is None:
            state = 'timed out' if outcome.timed_out else 'failed'
            return {**entry, 'state': state, 'code': outcome.code, 'tail': process.tail(log)}
        if data.get('unfinished'):
            return {**entry, 'state': 'unfinished'}
        return {**entry, 'state': 'failed' if data.get('failed') else 'done'}

    def _options(self, out):
        args = self._args
        return {'dry_run': args.dry_run, 'device': '@numpy' if args.dry_run else '@cupy:0',
                'out': str(out), 'root': str(self._root.absolute()), 'jobs': args.jobs,
                'data': None if args.data is None else str(args.data.absolute())}

    def _lacks_data(self, step):
        """Whether a step needs CIFAR-10, which is not there and cannot be made."""
        if self._args.dry_run or not (step.data or step.name == 'data' and not self._args.data):
            return False
        root = Path(self._environment.get(
            'CHAINER_DATASET_ROOT', Path.home() / '.chainer/dataset'))
        return not (root / 'pfnet/chainer/cifar/cifar-10.npz').exists()

    def _versions(self):
        code = ('import json; from benchmarks import main; print(json.dumps(main.versions()))')
        return json.loads(self._output(code))

    def _unbundle(self):
        self._output('from pathlib import Path; from benchmarks.gpu import paper; '
                     'paper.unbundle(Path({!r}), Path({!r}))'.format(
                         str(self._args.resume.absolute()), str(self._root.absolute())))

    def _output(self, code):
        return subprocess.run([sys.executable, '-c', code], env=self._environment, cwd=ROOT,
                              check=True, stdout=subprocess.PIPE, text=True).stdout


def results_of(card: str) -> Path:
    """``results/gpu/<card>``: where the report of a card goes by itself."""
    return Path('results/gpu', re.sub(r'[^a-z0-9]+', '-', card.lower()).strip('-'))
