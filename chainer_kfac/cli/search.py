"""``chainer-kfac search``: search for the hyperparameters of a cell, and look at what was found."""
import argparse
import logging
import pathlib

from chainer_kfac.cli.worker import add_database, device

logger = logging.getLogger(__name__)

ACTIONS = ('run', 'status', 'best', 'export', 'report', 'list', 'delete')

EXAMPLE = """\
examples:
  chainer-kfac search --optimizer kfac --batch 512 --trials 12 --workers 2 --profile smoke
  chainer-kfac search --optimizer kfac --batch 2048 --trials 100 --profile short --workers 0 \\
      --mongo 'mongodb://kfac@db.example.org/chainer_kfac?tls=true' --password-file ~/.kfac-password
  chainer-kfac search status
  chainer-kfac search best --write            then: make table1 HPARAMS=tuned
  chainer-kfac search export --exp-key kfac-bs512-smoke-digits
  chainer-kfac search --optimizer kfac --batch 512 --trials 40 ema_weighs=old epochs=10

Without --mongo a database starts by itself, with its files in ROOT/search/server; its address is
printed, so that more workers can join. The same command goes on after any interruption. Files are
written to ROOT/search/<experiment>/; key=value fixes a field of every trial.
"""


def add_parser(subparsers):
    parser = subparsers.add_parser(
        'search', help='search for hyperparameters',
        description='Search for the hyperparameters of an optimizer at a batch size.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('words', nargs='*', metavar='ACTION | key=value',
                        help='{} (default: run); fields of every trial'.format(', '.join(ACTIONS)))
    add_database(parser)
    parser.add_argument('--exp-key', metavar='NAME',
                        help='the experiment (default: made of what is searched; for the other '
                        'actions, the only one that there is)')
    parser.add_argument('--root', default='runs', help='folder of all runs (default: %(default)s)')
    add_what(parser.add_argument_group('what is searched'))
    how = parser.add_argument_group('how')
    how.add_argument('--workers', type=int, default=1, metavar='N',
                     help='workers on this machine, sharing its cores (default: %(default)s)')
    how.add_argument('--device', default='auto', type=device,
                     help='of these workers (default: %(default)s)')
    add_options(how)
    parser.add_argument('--write', nargs='?', const=True, metavar='FILE',
                        help='with best: put the cell into FILE (default: experiments/tuned.yaml)')
    parser.add_argument('--yes', action='store_true', help='with delete: do not ask')


def add_what(group):
    """The options that name what is searched; `chainer-kfac submit search` has them too."""
    group.add_argument('--optimizer', choices=('momentum_sgd', 'adam', 'kfac'))
    group.add_argument('--batch', type=int, metavar='SIZE', help='batch size')
    group.add_argument('--profile', default='auto', metavar='NAME',
                       help='as for table1 (default: %(default)s)')
    group.add_argument('--dataset', metavar='NAME', help='as for table1')
    group.add_argument('--select-on', choices=('test', 'holdout'), default='test',
                       help='images that choose: the test images, as in the paper, or held-out '
                       'training images (default: %(default)s)')
    group.add_argument('--space', metavar='FILE',
                       help='ranges and priors (default: experiments/search/<optimizer>.yaml)')


def add_options(group):
    """The options of `chainer_kfac.search.options.search`."""
    group.add_argument('--trials', type=int, default=100, metavar='N', help='default: %(default)s')
    group.add_argument('--prune', choices=('both', 'median', 'halving', 'none'), default='both',
                       help='rules that stop hopeless trials early (default: %(default)s)')
    group.add_argument('--algorithm', choices=('tpe', 'random'), default='tpe')
    group.add_argument('--seed', type=int, default=0, metavar='N', help='of the proposals')
    group.add_argument('--gamma', type=float, default=0.25, metavar='X',
                       help='of TPE: ceil(X sqrt(n)) trials are good ones (default: %(default)s)')
    group.add_argument('--startup', type=int, default=20, metavar='N',
                       help='of TPE: random trials at first (default: %(default)s)')
    group.add_argument('--candidates', type=int, default=24, metavar='N',
                       help='of TPE: the best of so many draws (default: %(default)s)')
    group.add_argument('--lease', type=float, default=60.0, metavar='SECONDS',
                       help='a trial whose worker is silent for so long goes back to the queue '
                       '(default: %(default)s)')
    group.add_argument('--setbacks', type=int, default=3, metavar='N',
                       help='how often it may, before it fails (default: %(default)s)')


def options_of(args):
    """The arguments of `add_options`, checked, and those that a search cannot do without."""
    from chainer_kfac.exceptions import ConfigError
    from chainer_kfac.search import options

    for flag in ('optimizer', 'batch'):
        if getattr(args, flag) is None:
            raise ConfigError('--{} is missing: a search needs an optimizer and a batch size, as '
                              'in --optimizer kfac --batch 512'.format(flag))
    return options.search(trials=args.trials, algorithm=args.algorithm, seed=args.seed,
                          gamma=args.gamma, startup=args.startup, candidates=args.candidates,
                          prune=args.prune, lease=args.lease, setbacks=args.setbacks)


def run(args):
    action, texts = 'run', list(args.words)
    if texts and texts[0] in ACTIONS:
        action = texts.pop(0)
    if action == 'run':
        return _run(args, texts)
    if texts:
        from chainer_kfac.exceptions import ConfigError
        raise ConfigError('{} takes no {}: actions are {}'.format(
            action, ' '.join(texts), ', '.join(ACTIONS)))
    return _look(args, action)


def _run(args, texts):
    from chainer_kfac.analysis import search_report
    from chainer_kfac.search import address, session

    request = session.Request(
        args.optimizer, args.batch, options_of(args), args.profile, args.dataset, args.select_on,
        session.fixed_fields(texts, args.optimizer, args.batch), args.exp_key, args.space,
        args.workers, args.device)
    found = session.run(request, address.find(args.mongo, args.password_file), args.root)
    _print_best(found)
    page = search_report.write(_folder(args, found.experiment.exp_key) / 'report.html', found)
    logger.info('report: %s', page)


def _look(args, action):
    """Everything but `run`: read, and in one case delete."""
    from chainer_kfac.search import address, experiments, session
    from chainer_kfac.search.found import Found

    where = address.find(args.mongo, args.password_file)
    with session.opened(where, args.root) as (store, _):
        if action == 'list':
            for name in experiments.names(store):
                print(_summary(store, name))
            return
        exp_key = args.exp_key or experiments.only(store)
        if action == 'delete':
            _delete(args, store, exp_key)
            return
        found = Found.load(store, exp_key)
        if action == 'status':
            print('\n'.join(found.status()))
        elif action == 'best':
            _print_best(found)
            if args.write:
                _write_best(args, found)
        elif action == 'export':
            from chainer_kfac.search import export
            for path in export.write(_folder(args, exp_key), found.experiment, found.trials):
                print(path)
        else:
            from chainer_kfac.analysis import search_report
            print(search_report.write(_folder(args, exp_key) / 'report.html', found))


def _summary(store, name):
    from chainer_kfac.search.errors import RefusedTrial
    from chainer_kfac.search.found import Found
    try:
        return Found.load(store, name).status()[0]
    except RefusedTrial as error:  # the others are still to be seen
        return str(error)


def _folder(args, exp_key):
    return pathlib.Path(args.root, 'search', exp_key)


def _print_best(found):
    from chainer_kfac.search import results
    top = results.need_best(found.experiment, found.trials)
    print('trial {} of {}: loss {:.6g}'.format(top['tid'], found.experiment.exp_key,
                                              top['result']['loss']))
    for name, value in results.values(found.experiment, top).items():
        print('  {}: {:.6g}'.format(name, value))


def _write_best(args, found):
    from chainer_kfac.exceptions import ConfigError
    from chainer_kfac.search import results, tuned
    path = tuned.default_path() if args.write is True else pathlib.Path(args.write)
    if path.suffix != '.yaml':  # by which --hparams knows a file from a name
        raise ConfigError('--write needs a file name that ends with .yaml, got {}'.format(path))
    tuned.write(path, found.experiment, results.need_best(found.experiment, found.trials))
    print('written to {}; train it with: chainer-kfac table1 --hparams {}'.format(
        path, path.stem if args.write is True else path))


def _delete(args, store, exp_key):
    from chainer_kfac.search import experiments
    if not args.yes and not _agreed('delete experiment {} with all its trials from {}? [y/N] '
                                    .format(exp_key, store.address)):
        print('nothing deleted')
        return
    print('{}: {} trials deleted; exports and trained runs in {} are still there'.format(
        exp_key, experiments.delete(store, exp_key), _folder(args, exp_key)))


def _agreed(question):
    from chainer_kfac.exceptions import ConfigError
    try:
        return input(question).strip().lower() == 'y'
    except EOFError:
        raise ConfigError('nobody answers here: add --yes to delete without a question') from None
