"""What was submitted: ``ROOT/jobs/<name>-<time>/`` with the scripts, the logs and ``job.json``.

``job.json`` is there if and only if the jobs were submitted. The directory of each run that a job
is to train has their numbers too, in ``jobs.json``.
"""
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Iterator

from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.jobs.dialects.base import CONTINUED

FOLDER, FILE, FORMAT = 'jobs', 'job.json', 1
IN_RUN = 'jobs.json'


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a job: a task of an array, or the whole.

    Attributes:
        name (str): of the job.
        number (int): of the part, from 1.
        job_id (str): the scheduler's number of the part.
        about (str): the words that tell it from the other parts.
        runs (tuple of str): run directories that it trains.
    """

    name: str
    number: int
    job_id: str
    about: str = ''
    runs: tuple[str, ...] = ()

    @property
    def whole_name(self) -> str:
        """The name of the job, and what tells the part from the others."""
        return ' '.join(filter(None, [self.name, self.about]))


@dataclasses.dataclass(frozen=True)
class Submission:
    """What one command has submitted.

    Attributes:
        folder (Path): its folder.
        scheduler (str): dialect of the scheduler.
        jobs (dict): name of each job -> its number.
        parts (tuple of Part): of all of them.
        submitted (str): when.
    """

    folder: pathlib.Path
    scheduler: str
    jobs: dict[str, str]
    parts: tuple[Part, ...]
    submitted: str = ''

    def ids(self, part: Part) -> list[str]:
        """Numbers that a part has had: its own, and those under which it was continued."""
        return [part.job_id, *(number for name, index, number in self._continued()
                               if (name, index) == (part.name, part.number))]

    def job_ids(self) -> list[str]:
        """Numbers of all jobs, with those that continue their parts."""
        return [*self.jobs.values(), *(number for _, _, number in self._continued())]

    def _continued(self):
        try:
            lines = (self.folder / CONTINUED).read_text(encoding='utf-8').splitlines()
        except FileNotFoundError:
            return []
        return [(name, int(index), number) for name, index, number in map(str.split, lines)]


def new_folder(root: str | os.PathLike, name: str) -> pathlib.Path:
    """Make a folder for a submission.

    Raises:
        RunDirectoryError: if it cannot be made.
    """
    stem = '{}-{}'.format(name, time.strftime('%Y%m%d-%H%M%S'))
    for suffix in ('', *('-{}'.format(number) for number in range(2, 100))):
        folder = pathlib.Path(root, FOLDER, stem + suffix)
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise RunDirectoryError('cannot make {}: {}'.format(folder, error.strerror)) from error
    raise RunDirectoryError('{} has too many folders {}: remove some'.format(root, stem))


def write(submission: Submission) -> None:
    """Record a submission in its folder and in the directories of its runs."""
    content = {'format': FORMAT, 'scheduler': submission.scheduler,
               'submitted': submission.submitted, 'jobs': submission.jobs,
               'parts': [dataclasses.asdict(part) for part in submission.parts]}
    _replace(submission.folder / FILE, content)
    for part in submission.parts:
        for run in part.runs:
            path = pathlib.Path(run, IN_RUN)
            path.parent.mkdir(parents=True, exist_ok=True)
            before = json.loads(path.read_text(encoding='utf-8')) if path.exists() else []
            _replace(path, [*before, {'scheduler': submission.scheduler, 'job_id': part.job_id,
                                      'submitted': submission.submitted,
                                      'folder': os.fspath(submission.folder)}])


def read(root: str | os.PathLike) -> Iterator[Submission]:
    """All submissions below a root, the oldest first.

    Raises:
        RunDirectoryError: if a record is damaged.
    """
    for path in sorted(pathlib.Path(root, FOLDER).glob('*/' + FILE),
                       key=lambda path: path.stat().st_mtime):
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            parts = tuple(Part(**{**part, 'runs': tuple(part['runs'])})
                          for part in content['parts'])
            yield Submission(path.parent, content['scheduler'], content['jobs'], parts,
                             content['submitted'])
        except (ValueError, KeyError, TypeError) as error:
            raise RunDirectoryError('{} is damaged ({}): remove its folder once its jobs have ended'
                                    .format(path, error)) from error


def _replace(path, content):
    partial = path.with_name('.{}.{}'.format(path.name, os.getpid()))
    partial.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    os.replace(partial, path)
