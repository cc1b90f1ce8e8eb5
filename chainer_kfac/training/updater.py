"""One update from several micro-batches, or from the parts of a batch that several ranks have."""
import chainer
from chainer import reporter
from chainer.dataset import convert
from chainer.training.updaters import StandardUpdater

from chainer_kfac.optimizers import KFAC
from chainer_kfac.optimizers.gradient_sum import GradientSum


class PartsUpdater(StandardUpdater):
    """Cuts each batch into equal parts and lets their mean gradient be one update.

    K-FAC puts its parts together by itself, for it also gathers their factors; for Chainer's
    optimizers the gradients are added up here. What the parts report is averaged.

    With several ranks, each has a share of the batch, and ChainerMN's multi-node optimizer takes
    the plain mean of their gradients. It is the batch's mean because each gradient is multiplied
    here by ``size * share`` first, and so is what the model reports, for `SharedLog` to average.

    Args:
        iterator, optimizer, converter, input_device, loss_scale: as StandardUpdater's.
        parts (int): number of micro-batches; divides the batch.
        communicator (KroneckerCommunicator or None): of the ranks; `update` is then collective.
    """

    def __init__(self, iterator, optimizer, converter, *, input_device, parts: int = 1,
                 loss_scale: float | None = None, communicator=None):
        super().__init__(iterator, optimizer, converter, input_device=input_device,
                         loss_scale=loss_scale)
        self._parts = parts
        self._gradients = GradientSum()
        self._weight = iterator.share * (1 if communicator is None else communicator.size)
        self._is_kfac = isinstance(optimizer, KFAC)

    def update_core(self):
        optimizer = self.get_optimizer('main')
        iterator = self.get_iterator('main')
        batch = convert._call_converter(self.converter, iterator.next(), self.input_device)
        summary = reporter.DictSummary()
        for part in _cut(batch, self._parts):
            observation = {}
            with reporter.report_scope(observation):
                if self._is_kfac:
                    optimizer.update(optimizer.target, *part)
                else:
                    self._add_gradients(optimizer.target, part)
            summary.add(observation)
        if not self._is_kfac:
            self._update_from_sum(optimizer)
        chainer.report({key: value * self._weight if key.startswith('main/') else value
                        for key, value in summary.compute_mean().items()})
        if iterator.is_new_epoch:
            optimizer.new_epoch(auto=True)

    def _add_gradients(self, model, part):
        loss = model(*part)
        model.cleargrads()
        loss.backward(loss_scale=self.loss_scale)
        self._gradients.add(model, weight=1.0)

    def _update_from_sum(self, optimizer):
        self._gradients.give_back(optimizer.target)
        if self._weight != 1.0:
            for param in optimizer.target.params(include_uninit=False):
                if param.grad is not None:
                    param.grad *= param.dtype.type(self._weight)
        optimizer.update()


def _cut(arrays, parts):
    size = len(arrays[0]) // parts
    for start in range(0, parts * size, size):
        yield tuple(array[start:start + size] for array in arrays)
