"""``chainer-kfac submit``: hand the work to the scheduler of a cluster."""
import argparse
import logging
import os
import pathlib
import sys

from chainer_kfac.cli import search, sweeping
from chainer_kfac.cli.worker import add_database, seconds
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.jobs import schedulers

logger = logging.getLogger(__name__)

EXAMPLE = """\
examples:
  chainer-kfac submit table1 --scheduler slurm --batch 128 512 2048 --optimizer kfac
  chainer-kfac submit table1 --scheduler pbs --dry-run
  chainer-kfac submit study --profile short --account gs00 --queue gpu --time 8:00:00
  chainer-kfac submit train experiments/quickstart.yaml lr=0.01 --nodes 2 --gpus-per-node 4
  chainer-kfac submit search --optimizer kfac --batch 2048 --trials 100 --workers 16 \\
      --mongo mongodb://kfac@db.example.org/chainer_kfac --password-file ~/.kfac-password
  chainer-kfac submit --status
  chainer-kfac submit --cancel 1234

What is finished is not submitted, and neither is what waits or runs already. A job that reaches the
end of its time stores a snapshot and goes on in the next one. Afterwards chainer-kfac table1
--collect tabulates the runs. docs/jobs.md has the rest.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'submit', help='hand work to the scheduler of a cluster',
        description='Submit table1, study, search or train as jobs of SLURM or PBS.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--status', action='store_true', help='show what was submitted')
    parser.add_argument('--cancel', nargs='+', metavar='JOB',
                        help='cancel jobs that were submitted, by number, or all')
    _add_root(parser)
    kinds = parser.add_subparsers(dest='kind', metavar='WHAT')
    for name, add, what in (('table1', _add_sweep, 'the cells of Table 1'),
                            ('study', _add_sweep, 'the study of batch sizes'),
                            ('search', _add_search, 'the driver and the workers of a search'),
                            ('train', _add_train, 'one run')):
        kind = kinds.add_parser(name, help=what, description='Submit {}.'.format(what))
        kind.add_argument('--dry-run', action='store_true',
                          help='print the script, submit nothing')
        add(kind.add_argument_group('what, as for chainer-kfac {}'.format(name)))
        _add_resources(kind.add_argument_group('what a job is given'))


def _add_root(parser, **default):
    parser.add_argument('--root', help='folder of all runs (default: runs)',
                        **(default or {'default': 'runs'}))


def _add_sweep(group):
    _add_data(group)
    group.add_argument('--optimizer', nargs='+', default=[], metavar='NAME')
    group.add_argument('--batch', nargs='+', default=[], type=sweeping.size, metavar='SIZE')
    group.add_argument('--seeds', type=int, default=1, metavar='N')
    group.add_argument('--hparams', default='table1', metavar='NAME')
    group.add_argument('--per', choices=('cell', 'batch'), default='cell',
                       help='what one part of the job trains (default: %(default)s)')


def _add_search(group):
    group.add_argument('overrides', nargs='*', metavar='key=value')
    _add_root(group, default=argparse.SUPPRESS)
    search.add_what(group)
    search.add_options(group)
    group.add_argument('--exp-key', metavar='NAME')
    group.add_argument('--workers', type=int, default=4, metavar='N',
                       help='jobs that evaluate trials (default: %(default)s)')
    add_database(group)


def _add_train(group):
    group.add_argument('config', metavar='CONFIG')
    group.add_argument('overrides', nargs='*', metavar='key=value')
    _add_root(group, default=argparse.SUPPRESS)


def _add_data(group):
    group.add_argument('overrides', nargs='*', metavar='key=value')
    group.add_argument('--profile', default='auto', metavar='NAME',
                       help='auto (the default) is paper with a GPU, else smoke')
    group.add_argument('--dataset', metavar='NAME')
    _add_root(group, default=argparse.SUPPRESS)


def _add_resources(group):
    group.add_argument('--scheduler', default='auto',
                       choices=schedulers.NAMES,
                       help='pbs is OpenPBS or Torque, as qsub says (default: %(default)s)')
    group.add_argument('--nodes', type=int, default=1, metavar='N',
                       help='of each part (default: %(default)s)')
    group.add_argument('--gpus-per-node', type=int, default=1, metavar='G',
                       help='0 for CPUs (default: %(default)s)')
    group.add_argument('--ranks-per-node', type=int, metavar='N',
                       help='MPI processes a node (default: one a GPU, or one)')
    group.add_argument('--cpus-per-rank', type=int, default=4, metavar='N',
                       help='cores of a process (default: %(default)s)')
    group.add_argument('--time', type=seconds, default=24 * 3600, metavar='[[D-]H:]M:S',
                       help='after which the scheduler ends the job (default: 24:00:00)')
    group.add_argument('--account', metavar='NAME', help='default: $KFAC_ACCOUNT')
    group.add_argument('--queue', metavar='NAME', help='or partition (default: $KFAC_QUEUE)')
    group.add_argument('--directive', action='append', default=[], metavar='OPTION',
                       help='one more option for the scheduler, as in --directive=--mem=32G')
    group.add_argument('--launcher', choices=('srun', 'mpirun'), default='srun',
                       help='what starts several processes under SLURM (default: %(default)s)')
    group.add_argument('--env', metavar='FILE',
                       help='shell file that each job reads first (default: jobscripts/env.sh, '
                       'if it is there)')


def run(args):
    from chainer_kfac.jobs import following

    if args.kind is None:
        if args.cancel:
            following.cancel(args.root, args.cancel)
        if not args.status and not args.cancel:
            raise ConfigError('say what: table1, study, search or train, or --status, or --cancel '
                              'and the number of a job')
        print('\n'.join(following.status(args.root)))
        return
    if args.status or args.cancel:
        raise ConfigError('--status and --cancel are not for {}: leave it out'.format(args.kind))
    if args.kind in ('table1', 'study'):
        sweeping.give_back_overrides(args)
    _submit(args)


def _submit(args):
    from chainer_kfac.jobs import catalogue, environment, following, submission
    from chainer_kfac.jobs.dialects import DIALECTS
    from chainer_kfac.jobs.rendering import render

    # What needs no data is checked first: data may have to be fetched.
    scheduler = None if args.dry_run else schedulers.find(args.scheduler)
    env = environment.find(args.env)
    of_jobs = environment.read(env)
    resources = _resources(args, env, {**os.environ, **of_jobs})
    catalogue.train('', **resources)
    orders = _orders(args, resources, of_jobs)
    if args.dry_run:
        dialect = DIALECTS[schedulers.dialect(args.scheduler)]
        print('\n'.join(render(order.job, dialect) for order in orders), end='')
        return
    orders = following.left(orders, args.root)
    if not orders:
        return
    submitted = submission.submit(orders, scheduler, args.root, args.kind)
    print(submission.heads(submitted))
    for part in submitted.parts:
        print('  '.join([part.job_id, part.whole_name]))
    logger.info('Scripts and logs: %s. See "chainer-kfac submit --status".', submitted.folder)


def _resources(args, env, variables):
    beside = pathlib.Path(sys.executable).parent
    return {
        'nodes': args.nodes, 'gpus_per_node': args.gpus_per_node,
        'ranks_per_node': args.ranks_per_node, 'cpus_per_rank': args.cpus_per_rank,
        'walltime': args.time, 'directives': tuple(args.directive), 'launcher': args.launcher,
        'account': args.account or variables.get('KFAC_ACCOUNT') or None,
        'queue': args.queue or variables.get('KFAC_QUEUE') or None,
        'workdir': os.getcwd(), 'env': env,
        'path': str(beside) if (beside / 'chainer-kfac').exists() else None}


def _orders(args, resources, of_jobs):
    from chainer_kfac import resources as shipped
    from chainer_kfac.jobs import requests

    fetch = not args.dry_run
    if fetch and 'CHAINER_DATASET_ROOT' in of_jobs:
        import chainer
        chainer.dataset.set_dataset_root(of_jobs['CHAINER_DATASET_ROOT'])
    if args.kind == 'train':
        return [requests.train(shipped.given(args.config), args.overrides, args.root, resources,
                               fetch)]
    if args.kind != 'search':
        sweep = requests.Sweep(
            args.kind, args.per, args.root, args.hparams, args.optimizer, args.batch, args.seeds,
            args.profile, args.dataset, args.overrides)
        return [sweep.order(resources, fetch)]
    options = search.options_of(args)
    mongo = requests.database(args.mongo, args.password_file, of_jobs)
    return requests.Search(
        args.optimizer, args.batch, args.workers, options, mongo, args.password_file, args.profile,
        args.dataset, args.select_on, args.space, args.exp_key, args.root,
        args.overrides).orders(resources, fetch)
