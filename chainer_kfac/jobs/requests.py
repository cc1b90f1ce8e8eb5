"""From what a user asks for to the jobs that do it, checked before anything is submitted."""
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from chainer_kfac import datasets
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.jobs import catalogue
from chainer_kfac.jobs.catalogue import words
from chainer_kfac.jobs.submission import Order
from chainer_kfac.sweeps import plan, profiles, study
from chainer_kfac.training import RunConfig
from chainer_kfac.training.run_directory import path

CELLS = {'table1': plan.load, 'study': study.load}
"""Sweep -> what reads its cells."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The cells of ``chainer-kfac table1`` or ``study``, as the flags of those commands say.

    Attributes:
        name (str): ``'table1'`` or ``'study'``.
        per (str): ``'cell'`` or ``'batch'``: what is one part of the job.
        root (str): root of all runs.
        hparams, optimizers, batch_sizes, seeds, profile, dataset, overrides: as for that command.
    """

    name: str
    per: str = 'cell'
    root: str = 'runs'
    hparams: str = plan.PAPER
    optimizers: Sequence[str] = ()
    batch_sizes: Sequence[int] = ()
    seeds: int = 1
    profile: str = 'auto'
    dataset: str | None = None
    overrides: Sequence[str] = ()

    def order(self, resources: Mapping[str, Any], fetch: bool = True) -> Order:
        """The job, an array with a part for each cell or batch size.

        Args:
            resources (mapping): further fields of the description.
            fetch (bool): whether to load the data here, so that no job has to fetch it.
        Raises:
            KFACError: if the command would refuse its flags, or its data cannot be had.
        """
        profile = profiles.choose(self.profile, plan.all_profiles(), resources['gpus_per_node'])
        chosen = plan.select(CELLS[self.name](self.hparams), self.optimizers, self.batch_sizes)
        dataset = _dataset(self.dataset, profile, fetch)
        configs = plan.runs(chosen, profile, dataset, self.seeds, self.overrides)
        options = [*self.overrides, '--profile', profile.name, '--dataset', dataset,
                   '--seeds', self.seeds, '--root', self.root]
        if self.hparams != plan.PAPER:
            options += ['--hparams', self.hparams]
        tasks = catalogue.cell_tasks(chosen, self.per)
        runs = catalogue.group(configs, self.per)
        return Order(catalogue.sweep(self.name, words(*options), tasks, **resources),
                     tuple(tuple(os.fspath(path(config, self.root)) for config in part)
                           for part in runs))


def _dataset(name, profile, fetch):
    """The data set that a job will use: loaded and checked here, or guessed without a look."""
    if fetch:
        return profiles.dataset(name, profile)
    if name or profile.stand_in is None or datasets.is_cached(profiles.DATASET):
        return name or profiles.DATASET
    return profile.stand_in


def train(config: str, overrides: Sequence[str], root: str, resources: Mapping[str, Any],
          fetch: bool = True) -> Order:
    """The job of one run: ``chainer-kfac train CONFIG key=value ...``.

    Raises:
        KFACError: if the command would refuse its flags, or its data cannot be had.
    """
    run = RunConfig.load(config, overrides)
    if fetch:
        datasets.load(run.dataset, run.train_size, run.test_size)
    job = catalogue.train(words(config)[0], words(*overrides, '--root', root), **resources)
    return Order(job, ((os.fspath(path(run, root)),),))


@dataclasses.dataclass(frozen=True)
class Search:
    """A search: its driver and an array of workers for one database.

    Attributes:
        workers (int): how many.
        options (mapping): of the search, as `chainer_kfac.search.options.search` gives them.
        mongo (str or None): address of the database; None if the environment of the jobs has it.
        password_file (str or None): as for the command.
        exp_key (str or None), root (str), optimizer, batch_size, profile, dataset, select_on,
            space, overrides: as for the command.
    """

    optimizer: str
    batch_size: int
    workers: int
    options: Mapping[str, Any]
    mongo: str | None = None
    password_file: str | None = None
    profile: str = 'auto'
    dataset: str | None = None
    select_on: str = 'test'
    space: str | None = None
    exp_key: str | None = None
    root: str = 'runs'
    overrides: Sequence[str] = ()

    def orders(self, resources: Mapping[str, Any], fetch: bool = True) -> list[Order]:
        """The driver's job, and that of the workers; arguments as for ``Sweep.order``.

        Raises:
            KFACError: if the commands would refuse their flags.
        """
        from chainer_kfac.search import session  # only a search needs hyperopt and PyMongo
        if self.workers < 1:
            raise ConfigError('--workers must be at least 1, got {}'.format(self.workers))
        profile = profiles.choose(self.profile, plan.all_profiles(), resources['gpus_per_node'])
        dataset = _dataset(self.dataset, profile, fetch)
        exp_key = session.check(session.Request(
            self.optimizer, self.batch_size, self.options, profile.name, dataset, self.select_on,
            session.fixed_fields(self.overrides, self.optimizer, self.batch_size), self.exp_key,
            self.space, workers=0))
        common = ['--exp-key', exp_key, '--root', self.root]
        if self.mongo is not None:
            common += ['--mongo', self.mongo]
        if self.password_file is not None:
            common += ['--password-file', os.path.abspath(self.password_file)]
        driver = catalogue.driver(words(
            *self.overrides, '--optimizer', self.optimizer, '--batch', self.batch_size,
            *self._flags(), '--profile', profile.name, '--dataset', dataset, *common),
            **resources)
        workers = catalogue.workers(self.workers, words(*common, '--until-done'), **resources)
        place = os.path.join(self.root, 'search', exp_key)
        return [Order(driver, ((place,),)), Order(workers, ((place,),) * self.workers)]

    def _flags(self):
        """Those of the search that are not as they would be by default; the trials always."""
        from chainer_kfac.search import options
        usual = options.search(trials=self.options['trials'])
        found = ['--trials', self.options['trials']]
        for key, value in self.options.items():
            if value != usual[key]:
                found += ['--' + key, value]
        if self.select_on != 'test':
            found += ['--select-on', self.select_on]
        return found if self.space is None else [*found, '--space', self.space]


def database(flag: str | None, password_file: str | None,
             of_jobs: Mapping[str, str]) -> str | None:
    """The address that jobs must be given, without a password; None if they have it by themselves.

    Args:
        flag (str or None), password_file (str or None): as for the command.
        of_jobs (mapping): the variables that every job will have.
    Raises:
        KFACError: if there is none, or the jobs would not have its password.
    """
    from chainer_kfac.search import address
    found = address.find(flag, password_file, {**os.environ, **of_jobs})
    if found is None:
        raise ConfigError('which database? give --mongo an address that the nodes can reach, or '
                          'set {} in the file of --env'.format(address.URI_VARIABLE))
    if flag is None and address.URI_VARIABLE in of_jobs:
        return None
    if (found.password is not None and password_file is None
            and address.PASSWORD_VARIABLE not in of_jobs):
        raise ConfigError('the jobs would not have the password of {}: put it into a file for '
                          '--password-file, or set {} in the file of --env'.format(
                              found, address.PASSWORD_VARIABLE))
    return found.uri
