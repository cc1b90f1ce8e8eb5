"""A small training run through every updater, extension, trigger and hook of Chainer."""
import io
import json
import os
import shutil
import tempfile

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import function_hooks, iterators, link_hooks, training
from chainer.training import extensions as E
from chainer.training import triggers as T

NOT_RUN = {
    'CUDAProfileHook': 'needs a GPU',
    'CupyMemoryProfileHook': 'needs a GPU',
    'MultiprocessParallelUpdater': 'needs several GPUs and NCCL',
    'dump_graph': 'the former name of DumpGraph, which it returns',
    'Extension': 'the base class of the extensions',
    'Updater': 'the abstract class of the updaters',
    'PRIORITY_EDITOR': 'a number', 'PRIORITY_READER': 'a number', 'PRIORITY_WRITER': 'a number',
}
"""Names that the sweep leaves out, and why."""


class Perceptron(chainer.Chain):
    """Two fully connected layers."""

    def __init__(self):
        super(Perceptron, self).__init__()
        with self.init_scope():
            self.first = L.Linear(3, 4)
            self.second = L.Linear(4, 2)

    def forward(self, x):
        return self.second(F.relu(self.first(x)))


class Run:
    """A trainer of two layers on 12 examples, and what it logged.

    Args:
        c (Draw): the inputs.
        epochs (int): how long.
        stop (trigger): the stop trigger, in place of the number of epochs.
        updater (callable): ``updater(iterator, optimizer)``.
        optimizer (chainer.Optimizer): not yet set up.
    """

    def __init__(self, c, **kwargs):
        epochs = kwargs.pop('epochs', 3)
        stop = kwargs.pop('stop', (epochs, 'epoch'))
        updater = kwargs.pop('updater', training.updaters.StandardUpdater)
        optimizer = kwargs.pop('optimizer', None) or chainer.optimizers.MomentumSGD(0.1)
        assert not kwargs
        np.random.seed(0)
        self.directory = tempfile.mkdtemp()
        self.data = chainer.datasets.TupleDataset(c.array(12, 3), c.i(2, 12))
        self.model = L.Classifier(Perceptron())
        self.optimizer = optimizer.setup(self.model)
        self.iterator = iterators.SerialIterator(self.data, 4)
        self.trainer = training.Trainer(
            updater(self.iterator, self.optimizer), stop, out=self.directory)
        self.trainer.extend(E.LogReport(trigger=(1, 'iteration')))

    def extend(self, *extensions, **kwargs):
        """Add extensions; keywords go to ``Trainer.extend``."""
        for extension in extensions:
            self.trainer.extend(extension, **kwargs)
        return self

    def log(self):
        """Run, and return the log without its times, with the files that were written."""
        try:
            self.trainer.run()
            with open(os.path.join(self.directory, 'log')) as f:
                entries = json.load(f)
            files = sorted(name for name in os.listdir(self.directory) if name != 'log')
        finally:
            shutil.rmtree(self.directory)
        for entry in entries:
            del entry['elapsed_time']
        return [entries, ' '.join(files), [param.array for param in self.model.params()]]


def evaluated(c):
    """A run with an evaluator on the training data."""
    run = Run(c)
    return run.extend(E.Evaluator(chainer.iterators.SerialIterator(run.data, 4, False, False),
                                  run.model))


def resumed(c):
    """A run stopped by its snapshots, and one that goes on from the last of them."""
    first = Run(c, epochs=2)
    first.extend(E.snapshot(n_retains=1), trigger=(1, 'epoch'))
    first.trainer.run()
    c = type(c)(c.name)
    second = Run(c, epochs=3)
    shutil.rmtree(second.directory)
    second.directory = second.trainer.out = first.directory
    second.extend(E.snapshot(n_retains=1, autoload=True), trigger=(1, 'epoch'))
    return second.log()


def shifted(extension):
    """A case: the learning rates of a run in which ``extension()`` moves them."""
    def case(c):
        run = Run(c, optimizer=chainer.optimizers.MomentumSGD(0.1))
        return run.extend(extension(), E.observe_lr(), trigger=(1, 'iteration')).log()
    return case


def stopped(make):
    """A case: a run that ends by, or reports by, the trigger ``make()``."""
    def case(c):
        run = evaluated(c)
        fired = []

        def note(trainer):
            fired.append(trainer.updater.iteration)
        run.extend(note, trigger=make())
        return [run.log(), fired]
    return case


def printed(make):
    """A case: what the extension ``make(out)`` prints."""
    def case(c):
        out = io.StringIO()
        log = evaluated(c).extend(make(out)).log()
        return [log, out.getvalue()]
    return case


def early_stop(c):
    """A run that ends because its loss stopped improving."""
    run = Run(c, stop=T.EarlyStoppingTrigger(
        check_trigger=(1, 'epoch'), monitor='main/loss', patients=1, max_trigger=(4, 'epoch')),
        optimizer=chainer.optimizers.SGD(0.0))
    return run.log()


def failed(c):
    """A run that FailOnNonNumber ends."""
    run = Run(c)
    run.model.predictor.first.W.array[...] = np.nan
    run.trainer._extensions.clear()
    run.extend(E.FailOnNonNumber())
    try:
        run.trainer.run(show_loop_exception_msg=False)
    except RuntimeError as error:
        return str(error)
    finally:
        shutil.rmtree(run.directory)


def report_micro_average(trainer):
    chainer.report({'hits': trainer.updater.iteration, 'tries': 2 * trainer.updater.iteration})


def micro_average(c):
    """A run that reports two sums and their ratio."""
    run = Run(c)
    run.extend(report_micro_average, trigger=(1, 'iteration'), priority=training.PRIORITY_WRITER)
    return run.extend(E.MicroAverage('hits', 'tries', 'ratio', (1, 'epoch'))).log()


def hooked_function(make):
    """A case: a function called under a function hook; timings are not part of the outcome."""
    def case(c):
        with make() as hook:
            y = F.sum(F.exp(c.x(2, 3)))
            y.backward()
        return [y, [entry[0] for entry in getattr(hook, 'call_history', [])]]
    return case


def hooked_link(make):
    """A case: a link with a link hook, called twice and differentiated."""
    def case(c):
        link = L.Convolution2D(3, 4, 2)
        with chainer.using_config('train', True):
            hook = make()
            if isinstance(hook, link_hooks.TimerHook):
                with hook:
                    y = link(c.x(2, 3, 4, 4))
                return [y, [type(entry[0]).__name__ for entry in hook.call_history]]
            link.add_hook(hook)
            x = c.x(2, 3, 4, 4)
            link(x)
            y = link(x)
        link.cleargrads()
        F.sum(y * y).backward()
        return [y, [param.grad for _, param in sorted(link.namedparams())]]
    return case


def static_graph(c):
    """Three calls of a chain under ``static_graph``, which replays the first."""
    class Static(chainer.Chain):
        def __init__(self):
            super(Static, self).__init__()
            with self.init_scope():
                self.fc = L.Linear(3, 2)

        @chainer.static_graph
        def forward(self, x):
            return F.relu(self.fc(x))

    chain = Static()
    outputs = []
    for _ in range(3):
        x = c.x(2, 3)
        chain.cleargrads()
        y = chain(x)
        F.sum(y).backward()
        outputs.append([y.array.copy(), chain.fc.W.grad.copy()])
    return outputs


CASES = {
    # chainer.training and its updaters
    'Trainer': lambda c: Run(c).log(),
    'StandardUpdater': lambda c: Run(c, updater=lambda i, o: training.updaters.StandardUpdater(
        {'main': i}, {'main': o}, device=-1)).log(),
    'ParallelUpdater': lambda c: Run(c, updater=lambda i, o: training.updaters.ParallelUpdater(
        i, o, devices={'main': -1, 'second': -1})).log(),
    'get_trigger': lambda c: stopped(lambda: training.get_trigger((2, 'iteration')))(c),
    'make_extension': lambda c: Run(c).extend(
        training.make_extension(trigger=(1, 'epoch'))(lambda trainer: None)).log(),
    # chainer.training.extensions
    'LogReport': lambda c: Run(c).log(),
    'Evaluator': lambda c: evaluated(c).log(),
    'snapshot': resumed,
    'snapshot_object': lambda c: _with_snapshot_object(c).log(),
    'ExponentialShift': shifted(lambda: E.ExponentialShift('lr', 0.5, init=0.2, target=0.05)),
    'InverseShift': shifted(lambda: E.InverseShift('lr', 0.5, 0.75)),
    'LinearShift': shifted(lambda: E.LinearShift('lr', (0.1, 0.5), (2, 6))),
    'MultistepShift': shifted(lambda: E.MultistepShift('lr', 0.1, [2, 4], 0.5)),
    'PolynomialShift': shifted(lambda: E.PolynomialShift('lr', 0.5, 20)),
    'StepShift': shifted(lambda: E.StepShift('lr', 0.5, 2)),
    'WarmupShift': shifted(lambda: E.WarmupShift('lr', 0.01, 3, 0.1)),
    'observe_lr': lambda c: Run(c).extend(E.observe_lr()).log(),
    'observe_value': lambda c: Run(c).extend(
        E.observe_value('epoch', lambda trainer: trainer.updater.epoch)).log(),
    'FailOnNonNumber': failed,
    'MicroAverage': micro_average,
    'ParameterStatistics': lambda c: _with_parameter_statistics(c).log(),
    'PrintReport': printed(lambda out: E.PrintReport(
        ['epoch', 'main/loss', 'validation/main/accuracy'], out=out)),
    'ProgressBar': lambda c: Run(c).extend(
        E.ProgressBar(update_interval=1, out=io.StringIO())).log(),
    'DumpGraph': lambda c: Run(c).extend(E.DumpGraph('main/loss')).log(),
    'PlotReport': lambda c: Run(c).extend(
        E.PlotReport(['main/loss'], trigger=(1, 'iteration'), file_name='loss.png')).log(),
    'VariableStatisticsPlot': lambda c: _with_variable_plot(c).log(),
    'unchain_variables': lambda c: Run(c).extend(E.unchain_variables()).log(),
    # chainer.training.triggers
    'BestValueTrigger': stopped(lambda: T.BestValueTrigger('main/loss', lambda a, b: b < a)),
    'EarlyStoppingTrigger': early_stop,
    'IntervalTrigger': stopped(lambda: T.IntervalTrigger(2, 'iteration')),
    'ManualScheduleTrigger': stopped(lambda: T.ManualScheduleTrigger([1, 5], 'iteration')),
    'MaxValueTrigger': stopped(lambda: T.MaxValueTrigger('main/accuracy')),
    'MinValueTrigger': stopped(lambda: T.MinValueTrigger('validation/main/loss')),
    'OnceTrigger': stopped(lambda: T.OnceTrigger(True)),
    'TimeTrigger': stopped(lambda: T.TimeTrigger(3600)),
    # hooks and graphs
    'PrintHook': hooked_function(lambda: function_hooks.PrintHook(file=io.StringIO())),
    'TimerHook': hooked_function(function_hooks.TimerHook),
    'TimerHook@link': hooked_link(link_hooks.TimerHook),
    'SpectralNormalization': hooked_link(lambda: link_hooks.SpectralNormalization(2)),
    'WeightStandardization': hooked_link(link_hooks.WeightStandardization),
    'static_graph': static_graph,
}


def _with_snapshot_object(c):
    run = Run(c)
    return run.extend(E.snapshot_object(run.model, 'model_{.updater.epoch}.npz'))


def _with_parameter_statistics(c):
    run = Run(c)
    return run.extend(E.ParameterStatistics(run.model, trigger=(1, 'iteration')))


def _with_variable_plot(c):
    run = Run(c)
    return run.extend(E.VariableStatisticsPlot(
        list(run.model.params()), trigger=(1, 'iteration'), file_name='statistics.png'))
