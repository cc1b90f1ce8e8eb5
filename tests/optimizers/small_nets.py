"""Small networks that remember every call of their links, and data for them."""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

CLASSES = 3


class Net(chainer.Chain):
    """A chain of links whose calls are kept in ``calls`` as (link, input, output)."""

    def call(self, link, x):
        y = link(x)
        self.calls.append((link, x, y))
        return y

    def __call__(self, x):
        self.calls = []
        return self.forward(x)


class OneLinear(Net):
    def __init__(self, nobias=False):
        super().__init__()
        with self.init_scope():
            self.fc = L.Linear(6, CLASSES, nobias=nobias)

    def forward(self, x):
        return self.call(self.fc, F.reshape(x, (len(x), -1))[:, :6])


class Perceptron(Net):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(None, 5)
            self.fc2 = L.Linear(5, CLASSES, nobias=True)

    def forward(self, x):
        return self.call(self.fc2, F.tanh(self.call(self.fc1, x)))


class Convolution(Net):
    """One convolution with any options, and a linear layer."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(*args, **kwargs)
            self.fc = L.Linear(None, CLASSES)

    def forward(self, x):
        return self.call(self.fc, F.tanh(self.call(self.conv, x)))


class Shared(Net):
    """A linear layer and a convolution, each called twice in one forward pass."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(4, 4, 3, pad=1)
            self.fc = L.Linear(6, 6)
            self.out = L.Linear(6, CLASSES)

    def forward(self, x):
        h = F.tanh(self.call(self.conv, x))
        h = F.tanh(self.call(self.conv, h[:, :, ::2, ::2]))
        h = F.reshape(F.sum(h, axis=3), (len(x), -1))[:, :6]
        return self.call(self.out, F.tanh(self.call(self.fc, F.tanh(self.call(self.fc, h)))))


NETS = {
    'linear': OneLinear,
    'linear without bias': lambda: OneLinear(nobias=True),
    'perceptron': Perceptron,
    'conv': lambda: Convolution(4, 4, 3, pad=1),
    'conv, lazy': lambda: Convolution(None, 2, 3),
    'conv, stride': lambda: Convolution(4, 2, (3, 2), stride=(2, 1), pad=(1, 2), nobias=True),
    'conv, dilated': lambda: Convolution(4, 2, 3, pad=(2, 1), dilate=(2, 1)),
    'conv, groups': lambda: Convolution(4, 6, 3, pad=1, stride=2, groups=2),
    'conv, depthwise': lambda: Convolution(4, 4, 2, groups=4, nobias=True),
    'shared': Shared,
}


def build(name, dtype='float64', seed=0):
    """The network ``name``, all its parameters drawn, in ``dtype``."""
    random = np.random.RandomState(seed)
    with chainer.using_config('dtype', np.dtype(dtype)):
        net = NETS[name]()
        with chainer.no_backprop_mode():
            net(images(2, dtype)[0])
    for _, param in sorted(net.namedparams()):
        param.array[...] = random.normal(size=param.shape) * 0.5
    return net


def images(examples, dtype='float64', seed=0):
    """x (examples, 4, 5, 4) and labels."""
    random = np.random.RandomState(seed)
    x = random.normal(size=(examples, 4, 5, 4)).astype(np.float16)
    return x.astype(dtype), random.randint(0, CLASSES, examples).astype(np.int32)


def targets(examples, dtype='float64', seed=0):
    """Targets for a regression on `CLASSES` outputs."""
    random = np.random.RandomState(seed + 1)
    return random.normal(size=(examples, CLASSES)).astype(np.float16).astype(dtype)


class Loss:
    """``loss(x, t)`` of a network: what an optimizer's update is given."""

    def __init__(self, net, function=F.softmax_cross_entropy):
        self.net = net
        self.function = function

    def __call__(self, x, t):
        return self.function(self.net(x), t)
