"""Submitting several jobs as one: all of them or none."""
import dataclasses
import logging
import os
import pathlib
import shutil
import time
from collections.abc import Sequence

from chainer_kfac.jobs import record
from chainer_kfac.jobs.description import JobDescription
from chainer_kfac.jobs.dialects import DIALECTS
from chainer_kfac.jobs.rendering import render
from chainer_kfac.jobs.schedulers import Scheduler, SubmitError

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Order:
    """A job to submit.

    Attributes:
        job (JobDescription): the job.
        runs (tuple of tuples of str): run directories that each task trains.
    """

    job: JobDescription
    runs: tuple[tuple[str, ...], ...] = ((),)


def submit(orders: Sequence[Order], scheduler: Scheduler, root: str | os.PathLike,
           name: str) -> record.Submission:
    """Submit jobs and record them.

    Args:
        orders (sequence of Order): what to submit, in this order.
        scheduler (Scheduler): to whom.
        root (path): root of all runs, below which the record is kept.
        name (str): what the record is called.
    Raises:
        SubmitError: if a job is refused; those before it have been cancelled then.
    """
    folder = record.new_folder(root, name)
    jobs, parts = {}, []
    try:
        scripts = [_write(order.job, folder, scheduler) for order in orders]
        for script in scripts:
            scheduler.check(script, pathlib.Path.cwd())
        for order, script in zip(orders, scripts, strict=True):
            jobs[order.job.name] = scheduler.submit(script, pathlib.Path.cwd())
            parts += _parts(order, jobs[order.job.name], scheduler)
        submission = record.Submission(folder, scheduler.dialect, jobs, tuple(parts),
                                       time.strftime('%Y-%m-%d %H:%M:%S'))
        record.write(submission)
    except BaseException:
        _take_back(jobs, scheduler)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return submission


def _write(job, folder, scheduler):
    script = folder / (job.name + '.sh')
    text = render(dataclasses.replace(job, logs=str(folder)), DIALECTS[scheduler.dialect])
    script.write_text(text, encoding='utf-8')
    script.chmod(0o755)
    return script


def _parts(order, job_id, scheduler):
    tasks = zip(order.job.tasks, order.runs, strict=True)
    for number, (words, runs) in enumerate(tasks, 1):
        part_id = scheduler.task_id(job_id, number) if order.job.is_array else job_id
        yield record.Part(order.job.name, number, part_id, ' '.join(words), runs)


def _take_back(jobs, scheduler):
    if not jobs:
        return
    try:
        scheduler.cancel(list(jobs.values()))
    except SubmitError as error:
        logger.error('cancel %s yourself: %s', ' '.join(jobs.values()), error)


def heads(submission: record.Submission) -> str:
    """What differs from job to job in the scripts: resources and command."""
    return '\n'.join((submission.folder / (name + '.sh')).read_text(encoding='utf-8')
                     .partition('\n}\n')[0] + '\n}\n' for name in submission.jobs)
