"""The layers of a network as K-FAC sees them: the sizes of their factors."""
from typing import NamedTuple


class Layer(NamedTuple):
    """A layer.

    Attributes:
        name (str): unique in its network.
        inputs (int): width of A, the bias included.
        outputs (int): width of G.
        positions (int): rows of an image in both factors; 1 for a fully connected layer.
    """

    name: str
    inputs: int
    outputs: int
    positions: int

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs


def lenet5() -> list[Layer]:
    """`chainer_kfac.models.LeNet5` on 28x28 images."""
    return [Layer('conv1', 3 * 25 + 1, 32, 28 * 28), Layer('conv2', 32 * 25 + 1, 32, 14 * 14),
            Layer('conv3', 32 * 25 + 1, 64, 7 * 7), Layer('fc4', 64 * 21 + 1, 4096, 1),
            Layer('fc5', 4096 + 1, 10, 1)]


def resnet50() -> list[Layer]:
    """ResNet-50 (arXiv:1512.03385, table 1) on 224x224 images, without batch normalisation.

    The first 1x1 convolution of a stage has the stride, as in the paper. Convolutions have no bias.
    """
    layers = [Layer('conv1', 3 * 49, 64, 112 ** 2)]
    before = 64
    for stage, (blocks, width, side) in enumerate(
            [(3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)], start=2):
        for block in range(blocks):
            name = 'conv{}_{}'.format(stage, block + 1)
            if block == 0:
                layers.append(Layer(name + '/shortcut', before, 4 * width, side ** 2))
            layers += [Layer(name + '/1', before, width, side ** 2),
                       Layer(name + '/2', 9 * width, width, side ** 2),
                       Layer(name + '/3', width, 4 * width, side ** 2)]
            before = 4 * width
    return [*layers, Layer('fc', 2048 + 1, 1000, 1)]


NETWORKS = {'LeNet5': (lenet5, 128), 'ResNet-50': (resnet50, 32)}
"""By name: layers, and the images of a rank's share of each batch."""
