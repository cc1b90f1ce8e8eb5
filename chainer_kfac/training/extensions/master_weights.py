"""Float32 master copies of float16 parameters, which Chainer leaves out of snapshots."""
import chainer
from chainer.training import extension


class MasterWeights(extension.Extension):
    """Keeps the master copies of Chainer's own update rules in the snapshot.

    ``use_fp32_update`` makes a rule update a float32 copy and round it to float16. Without the
    copy a resumed run would start from the rounded weights.

    Args:
        optimizer (chainer.Optimizer): set up, with ``use_fp32_update``.
    """

    def __init__(self, optimizer: chainer.Optimizer):
        self._optimizer = optimizer

    def __call__(self, trainer):
        """Nothing: it is there for `serialize`."""

    def serialize(self, serializer):
        for name, param in self._optimizer.target.namedparams():
            rule = param.update_rule
            held = None if rule._fp32_param is None else rule._fp32_param.array
            master = serializer(name, held)
            if isinstance(serializer, chainer.Deserializer) and master is not None:
                rule._fp32_param = chainer.Parameter(master, name=param.name)
                rule._fp32_param.to_device(param.device)
