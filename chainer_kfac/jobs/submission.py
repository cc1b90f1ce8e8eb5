"""Submitting several jobs as one: all of them or none."""
import dataclasses
import logging
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


def submit(orders: Sequence[Order], scheduler: Scheduler, root, name: str) -> record.Submission:
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
        for order in orders:
            job = dataclasses.replace(order.job, logs=str(folder))
            script = folder / (job.name + '.sh')
            script.write_text(render(job, DIALECTS[scheduler.dialect]), encoding='utf-8')
            script.chmod(0o755)
            jobs[job.name] = scheduler.submit(script, pathlib.Path.cwd())
            parts += _parts(order, jobs[job.name], scheduler)
        submission = record.Submission(folder, scheduler.dialect, jobs, tuple(parts),
                                       time.strftime('%Y-%m-%d %H:%M:%S'))
        record.write(submission)
    except BaseException:
        _take_back(jobs, scheduler)
        shutil.rmtree(folder)
        raise
    return submission


def _parts(order, job_id, scheduler):
    array = len(order.job.tasks) > 1
    return [record.Part(order.job.name, number,
                        scheduler.task_id(job_id, number) if array else job_id, ' '.join(words),
                        runs)
            for number, (words, runs) in enumerate(
                zip(order.job.tasks, order.runs, strict=True), 1)]


def _take_back(jobs, scheduler):
    if not jobs:
        return
    try:
        scheduler.cancel(list(jobs.values()))
    except SubmitError as error:
        logger.error('cancel %s yourself: %s', ' '.join(jobs.values()), error)


def head(job: JobDescription, dialect: str) -> str:
    """The part of a script that differs from job to job."""
    return render(job, DIALECTS[dialect]).partition('\n}\n')[0] + '\n}\n'
