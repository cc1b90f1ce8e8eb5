"""Draw docs/augmentation.png: images as they are stored, and as eight epochs of training see them.

    python docs/make_augmentation.py

Needs CIFAR-10 in Chainer's cache, and matplotlib.
"""
from pathlib import Path

import matplotlib
import numpy as np

from chainer_kfac import datasets

matplotlib.use('Agg')
from matplotlib import pyplot  # noqa: E402

SIDE, GAP, EPOCHS, CLASSES = 32, 2, 8, 10


def main():
    data = datasets.load('cifar10')
    chosen = np.array([np.flatnonzero(data.train_t == label)[3] for label in range(CLASSES)])
    augment = datasets.Augmentation(data.mean, data.std, seed=0)
    columns = [data.train_x[chosen]]
    for epoch in range(EPOCHS):
        y = augment(data.train_x[chosen], chosen, epoch)
        columns.append(y * data.std[:, None, None] + data.mean[:, None, None])
    shape = (CLASSES * (SIDE + GAP) + GAP, (1 + EPOCHS) * (SIDE + GAP) + GAP, 3)
    mosaic = np.full(shape, 255, np.uint8)
    for j, column in enumerate(columns):
        for i, image in enumerate(np.clip(np.round(column), 0, 255).astype(np.uint8)):
            side = image.shape[1]
            top = GAP + i * (SIDE + GAP) + (SIDE - side) // 2
            left = GAP + j * (SIDE + GAP) + (SIDE - side) // 2
            mosaic[top:top + side, left:left + side] = image.transpose(1, 2, 0)
    height, width = mosaic.shape[:2]
    figure = pyplot.figure(figsize=(2 * width / 100, 2 * height / 100 + 0.6), dpi=100)
    axes = figure.add_axes((0, 0, 1, 2 * height / 100 / figure.get_figheight()))
    axes.imshow(mosaic, interpolation='nearest')
    axes.axis('off')
    middle = GAP + np.arange(1 + EPOCHS) * (SIDE + GAP) + SIDE / 2
    for j, name in enumerate(['stored'] + ['epoch {}'.format(e) for e in range(EPOCHS)]):
        axes.text(middle[j], -3, name, ha='center', va='bottom', fontsize=9)
    figure.suptitle('{}, seed 0'.format(data.label), fontsize=11, y=0.985)
    figure.savefig(Path(__file__).parent / 'augmentation.png', metadata={'Software': None})


if __name__ == '__main__':
    main()
