"""The study's network: LeNet5 as the public Chainer CIFAR-10 suites of 2018 built it."""
import chainer
import chainer.functions as F
import chainer.links as L


class LeNet5(chainer.Chain):
    """Three 5x5 convolutions, spatial pyramid pooling and two fully connected layers.

    conv 3-32, ReLU, max-pool 3/2; conv 32-32, ReLU, max-pool 3/2; conv 32-64, ReLU; pyramid of
    1 + 4 + 16 bins, maximum in each: 1,344 numbers whatever the image's size; fc 4096, ReLU,
    dropout; fc to the classes. Chainer's default initialisation; 5,629,418 parameters for ten
    classes.

    Args:
        n_classes (int): number of outputs.
        dropout (float, in [0, 1)): share of the 4,096 hidden units dropped in training.
    """

    def __init__(self, n_classes: int = 10, dropout: float = 0.5):
        super().__init__()
        self.dropout = dropout
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 32, 5, pad=2)
            self.conv2 = L.Convolution2D(32, 32, 5, pad=2)
            self.conv3 = L.Convolution2D(32, 64, 5, pad=2)
            self.fc4 = L.Linear(64 * (1 + 4 + 16), 4096)
            self.fc5 = L.Linear(4096, n_classes)

    def forward(self, x):
        """Class scores.

        Args:
            x (array or Variable, (N, 3, H, W), float): 28x28 and 32x32 are what the study uses.
        Returns:
            chainer.Variable, (N, n_classes): before the softmax.
        """
        h = F.max_pooling_2d(F.relu(self.conv1(x)), 3, stride=2)
        h = F.max_pooling_2d(F.relu(self.conv2(h)), 3, stride=2)
        h = F.relu(self.conv3(h))
        h = F.spatial_pyramid_pooling_2d(h, 3, pooling='max')
        h = F.dropout(F.relu(self.fc4(h)), ratio=self.dropout)
        return self.fc5(h)
