"""``chainer-kfac worker``: takes trials of a search from a database."""
import argparse
import re
import time

EXAMPLE = """\
examples:
  chainer-kfac worker --mongo mongodb://127.0.0.1:27017/chainer_kfac
  chainer-kfac worker --mongo 'mongodb://kfac@db.example.org/chainer_kfac?tls=true' \\
      --password-file ~/.kfac-password --exp-key kfac-bs2048-short-cifar10 --time-limit 3:55:00
  mpirun -n 4 chainer-kfac worker --mongo mongodb://127.0.0.1:27017/chainer_kfac

The address may also be in $CHAINER_KFAC_MONGO and the password in $CHAINER_KFAC_MONGO_PASSWORD.
A worker that is told to stop (Ctrl-C, SIGTERM, SIGUSR1, its time limit) saves its training and
gives its trial back. One that loses the database goes on and delivers later; a result that it
could not deliver is in ROOT/search/spool, and the next worker with that ROOT delivers it.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'worker', help='evaluate trials of a search',
        description='Take trials of a search from a database, train, write the results back.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_database(parser)
    parser.add_argument('--exp-key', metavar='NAME',
                        help='take only trials of that experiment (default: of any)')
    parser.add_argument('--until-done', action='store_true',
                        help='leave when all trials of that experiment have ended')
    parser.add_argument('--max-trials', type=int, metavar='N', help='leave after N trials')
    parser.add_argument('--time-limit', type=seconds, metavar='[[D-]H:]M:S',
                        help='leave in time; no trial is begun that would not end by then')
    parser.add_argument('--device', default='auto', type=device,
                        help='auto, -1 for the CPU or the number of a GPU (default: %(default)s)')
    parser.add_argument('--root', default='runs', help='folder of all runs (default: %(default)s)')
    parser.add_argument('--allow-pickled-code', action='store_true',
                        help="evaluate trials of hyperopt's own fmin instead: they carry code, and "
                        'whoever can write to the database can run anything as you')
    parser.add_argument('--parent', type=int, help=argparse.SUPPRESS)


def add_database(parser):
    """The options that name the database; `chainer-kfac search` has them too."""
    parser.add_argument('--mongo', metavar='URI',
                        help='mongodb://... or mongodb+srv://... without a password')
    parser.add_argument('--password-file', metavar='FILE',
                        help='file that only you can read, with the password in its first line')


def device(text):
    """'auto', or the number of a GPU or -1."""
    if text == 'auto':
        return text
    if not re.fullmatch(r'-1|\d+', text):
        raise argparse.ArgumentTypeError(
            '{!r} is not auto, -1 for the CPU or the number of a GPU'.format(text))
    return int(text)


def seconds(text):
    """Seconds of ``55:00``, ``3:55:00`` or ``1-00:00:00``. A bare number would be seconds to some
    and minutes to others."""
    match = re.fullmatch(r'(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError('{!r} is not [[D-]H:]M:S'.format(text))
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def run(args):
    from chainer_kfac.communicators import world
    from chainer_kfac.exceptions import ConfigError

    if args.until_done and args.exp_key is None:
        raise ConfigError('--until-done needs the name of the experiment, as in --exp-key '
                          'kfac-bs512-short-cifar10')
    if args.until_done and args.allow_pickled_code:
        raise ConfigError('--until-done is for trials of chainer-kfac search: nothing in the '
                          "database says how many trials hyperopt's fmin wants; use --max-trials "
                          'or --time-limit with --allow-pickled-code')
    deadline = None if args.time_limit is None else time.monotonic() + args.time_limit
    with world.joined() as ranks:
        from chainer_kfac.search import worker  # after the threads of a rank are set
        from chainer_kfac.search.stopping import Stopping
        from chainer_kfac.training import device

        device.of_rank(args.device, ranks)  # refused once, and not trial after trial
        stopping = Stopping(deadline, args.parent, alone=ranks.size == 1)
        with stopping.listening():
            if ranks.rank != 0:
                worker.follow(ranks, stopping, args.device)
            ranks.first(_serve, args, ranks, stopping)
    return stopping.exit_code


def _serve(args, ranks, stopping):
    """The part of rank 0; the others follow it until they are sent None."""
    from chainer_kfac.search import address, pickled, worker
    from chainer_kfac.search.errors import ServerError
    from chainer_kfac.search.store import Store

    try:
        where = address.find(args.mongo, args.password_file)
        if where is None:
            raise ServerError('which database? give --mongo URI, as the search printed it, or '
                              'set ${}'.format(address.URI_VARIABLE))
        store = Store.open(where)
    except BaseException:
        ranks.bcast(None)
        raise
    try:
        if args.allow_pickled_code:
            ranks.bcast(None)
            pickled.work(store, args.exp_key, args.max_trials, stopping)
        else:
            worker.Worker(store, args.root, args.exp_key, args.max_trials, stopping,
                          args.device, ranks, until_done=args.until_done).run()
    finally:
        store.close()
