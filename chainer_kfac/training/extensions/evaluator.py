"""Validation that counts every image once."""
import chainer
import numpy as np
from chainer import reporter
from chainer.backend import get_array_module
from chainer.dataset import convert
from chainer.training import extensions


class Evaluator(extensions.Evaluator):
    """Chainer's Evaluator, weighted by the size of each batch and summed in float64.

    Chainer gives every batch the same weight, so that images of a short last batch count more.
    The target must report means over the batch, as ``chainer.links.Classifier`` does. The ranks
    may have any share of the images, or none.

    Args:
        iterator, target, converter, device: as Chainer's Evaluator takes them.
        ranks (Alone or Ranks): who evaluates; a call is collective among them.
    """

    def __init__(self, iterator, target, converter, device, ranks):
        super().__init__(iterator, target, converter, device)
        self._ranks = ranks

    def evaluate(self):
        iterator = self.get_iterator('main')
        iterator.reset()
        sums, total = {}, 0
        for batch in iterator:
            observation = {}
            with reporter.report_scope(observation), chainer.no_backprop_mode():
                x, t = convert._call_converter(self.converter, batch, self.device)
                self.get_target('main')(x, t)
            for key, value in observation.items():
                sums[key] = sums.get(key, 0) + _sum_over_batch(key, value, len(t))
            total += len(t)
        parts = self._ranks.gather(({key: float(value) for key, value in sums.items()}, total))
        total = sum(count for _, count in parts)
        return {key: sum(part.get(key, 0.0) for part, _ in parts) / total for key in parts[0][0]}


def _sum_over_batch(key, mean, n):
    mean = mean.array if isinstance(mean, chainer.Variable) else mean
    value = mean.astype(np.float64) * n
    # a number of right answers is whole: undo the rounding of its float32 mean
    return get_array_module(value).rint(value) if key.endswith('accuracy') else value
