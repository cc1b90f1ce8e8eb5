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
    The target must report means over the batch, as ``chainer.links.Classifier`` does.
    """

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
        return {key: float(value) / total for key, value in sums.items()}


def _sum_over_batch(key, mean, n):
    mean = mean.array if isinstance(mean, chainer.Variable) else mean
    value = mean.astype(np.float64) * n
    # a number of right answers is whole: undo the rounding of its float32 mean
    return get_array_module(value).rint(value) if key.endswith('accuracy') else value
