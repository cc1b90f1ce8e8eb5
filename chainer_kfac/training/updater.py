"""One update from several micro-batches, where a whole batch does not fit into memory."""
import chainer
from chainer import reporter
from chainer.dataset import convert
from chainer.training.updaters import StandardUpdater

from chainer_kfac.optimizers import KFAC
from chainer_kfac.optimizers.gradient_sum import GradientSum


class MicroBatchUpdater(StandardUpdater):
    """Cuts each batch into equal parts and lets their mean gradient be one update.

    K-FAC puts its parts together by itself, for it also gathers their factors; for Chainer's
    optimizers the gradients are added up here. What the parts report is averaged.

    Args:
        iterator, optimizer, converter, input_device, loss_scale: as StandardUpdater's.
        parts (int): number of micro-batches; divides the batch size.
    """

    def __init__(self, iterator, optimizer, converter, *, input_device, parts: int,
                 loss_scale: float | None = None):
        super().__init__(iterator, optimizer, converter, input_device=input_device,
                         loss_scale=loss_scale)
        self._parts = parts
        self._gradients = GradientSum()

    def update_core(self):
        optimizer = self.get_optimizer('main')
        iterator = self.get_iterator('main')
        batch = convert._call_converter(self.converter, iterator.next(), self.input_device)
        summary = reporter.DictSummary()
        for part in _cut(batch, self._parts):
            observation = {}
            with reporter.report_scope(observation):
                if isinstance(optimizer, KFAC):
                    optimizer.update(optimizer.target, *part)
                else:
                    self._add_gradients(optimizer.target, part)
            summary.add(observation)
        if not isinstance(optimizer, KFAC):
            self._gradients.give_back(optimizer.target)
            optimizer.update()
        chainer.report(summary.compute_mean())
        if iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)

    def _add_gradients(self, model, part):
        loss = model(*part)
        model.cleargrads()
        loss.backward(loss_scale=self.loss_scale)
        self._gradients.add(model, weight=1.0)


def _cut(arrays, parts):
    size = len(arrays[0]) // parts
    for start in range(0, parts * size, size):
        yield tuple(array[start:start + size] for array in arrays)
