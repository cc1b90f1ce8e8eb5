"""Batches: order, epochs, ranks, resuming, and life inside Chainer's trainer."""
import copy
import io

import chainer
import chainer.links as L
import numpy as np
import pytest
from chainer import training
from chainer.training import extensions

from chainer_kfac.datasets import Augmentation, BatchIterator, Standardise, to_device
from chainer_kfac.exceptions import ConfigError

MEAN, STD = np.full(3, 127.0), np.full(3, 70.0)


def data(n, side=32):
    x = np.random.RandomState(0).randint(0, 256, (n, 3, side, side)).astype(np.uint8)
    x[:, 0, 0, 0] = np.arange(n)  # to tell them apart
    return x, np.arange(n, dtype=np.int32)


def batches(iterator, count):
    return [next(iterator) for _ in range(count)]


def indices(iterator, count):
    return np.concatenate([t for _, t in batches(iterator, count)])


def assert_equal_batches(a, b):
    assert len(a) == len(b)
    for (x, t), (y, u) in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(t, u)


def save(thing):
    file = io.BytesIO()
    chainer.serializers.save_npz(file, thing)
    file.seek(0)
    return file


def test_a_batch(xp):
    x, t = data(10)
    got_x, got_t = next(BatchIterator(xp.asarray(x), xp.asarray(t), 4, shuffle=False))
    assert got_x.dtype == np.float32
    assert got_t.dtype == np.int32
    assert isinstance(got_x, xp.ndarray)
    np.testing.assert_array_equal(chainer.backends.cuda.to_cpu(got_x), x[:4])
    np.testing.assert_array_equal(chainer.backends.cuda.to_cpu(got_t), t[:4])


@pytest.mark.parametrize('repeat', [True, False])
@pytest.mark.parametrize(('n', 'batch_size'), [(10, 5), (10, 4), (10, 10), (7, 6), (3, 1)])
def test_epochs_as_serial_iterator_counts_them(n, batch_size, repeat):
    ours = BatchIterator(*data(n), batch_size, repeat=repeat)
    theirs = chainer.iterators.SerialIterator(np.arange(n), batch_size, repeat=repeat)

    def state(iterator):
        return (iterator.epoch, iterator.is_new_epoch, iterator.epoch_detail,
                iterator.previous_epoch_detail, iterator.current_position)

    def step(iterator):
        try:
            batch = next(iterator)
        except StopIteration:
            return 0, state(iterator)[:1]
        return len(batch[1] if iterator is ours else batch), state(iterator)

    assert state(ours) == state(theirs)
    for _ in range(25):
        (size, a), (expected, b) = step(ours), step(theirs)
        assert size == expected
        assert a == pytest.approx(b)


def test_every_image_once_an_epoch_in_a_new_order():
    orders = indices(BatchIterator(*data(20), 8), 10).reshape(4, 20)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(20), (4, 1)))
    assert len({tuple(o) for o in orders}) == 4
    other = indices(BatchIterator(*data(20), 8, seed=1), 10).reshape(4, 20)
    assert not (orders == other).all(axis=1).any()
    np.testing.assert_array_equal(indices(BatchIterator(*data(20), 8), 10).reshape(4, 20), orders)


def test_the_order_does_not_depend_on_the_batch_size():
    want = indices(BatchIterator(*data(12), 1), 120)
    for batch_size in (4, 5, 24, 40):  # the last ones hold several epochs
        got = indices(BatchIterator(*data(12), batch_size), 120 // batch_size)
        np.testing.assert_array_equal(got, want[:len(got)])


def test_images_go_with_their_labels_index_and_epoch():
    seen = []

    def transform(x, index, epoch):
        seen.append((x[:, 0, 0, 0].astype(int), index, epoch))
        return x.astype(np.float32)

    for k, (_, t) in enumerate(batches(BatchIterator(*data(6), 4, transform=transform), 6)):
        pixel, index, epoch = seen[k]
        np.testing.assert_array_equal(pixel, t)
        np.testing.assert_array_equal(index, t)
        np.testing.assert_array_equal(epoch, np.arange(4 * k, 4 * k + 4) // 6)


def test_evaluation_ends_with_a_short_batch_and_can_be_reset():
    iterator = BatchIterator(*data(10), 4, repeat=False, shuffle=False)
    for _ in range(2):
        assert [len(t) for _, t in iterator] == [4, 4, 2]
        with pytest.raises(StopIteration):
            next(iterator)
        iterator.reset()
    assert np.concatenate([t for _, t in iterator]).tolist() == list(range(10))


def test_a_copy_goes_its_own_way():
    iterator = BatchIterator(*data(10), 4)
    next(iterator)
    twin = copy.copy(iterator)
    a = batches(iterator, 6)
    assert_equal_batches(batches(twin, 6), a)


@pytest.mark.parametrize(('size', 'grain'), [
    (2, 1), (3, 1), (6, 1), (4, 1), (2, 2), (2, 3), (3, 2)])
def test_the_ranks_share_each_batch(size, grain):
    transform = Augmentation(MEAN, STD, seed=3)
    arguments = {'transform': transform, 'seed': 4}
    together = batches(BatchIterator(*data(10), 6, **arguments), 8)
    ranks = [BatchIterator(*data(10), 6, rank=r, size=size, grain=grain, **arguments)
             for r in range(size)]
    for x, t in together:
        parts = [next(r) for r in ranks]
        np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), x)
        np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), t)
        lengths = [len(p[1]) for p in parts]
        assert lengths == [round(6 * each.share) for each in ranks]
        assert all(length % grain == 0 for length in lengths)
        assert max(lengths) - min(lengths) in (0, grain)
    assert len({(r.epoch, r.epoch_detail, r.is_new_epoch) for r in ranks}) == 1


def test_the_ranks_share_a_short_last_batch():
    arguments = {'shuffle': False, 'repeat': False}
    ranks = [BatchIterator(*data(9), 4, rank=r, size=4, **arguments) for r in range(4)]
    parts = [[t.tolist() for _, t in r] for r in ranks]
    assert sorted(sum(sum(parts, []), [])) == list(range(9))
    assert all(part for rank in parts for part in rank)  # no empty batch


def test_micro_batches_make_up_the_large_batch():
    transform = Augmentation(MEAN, STD)
    large = next(BatchIterator(*data(200), 128, transform=transform))
    small = batches(BatchIterator(*data(200), 32, transform=transform), 4)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in small]), large[0])
    np.testing.assert_array_equal(np.concatenate([t for _, t in small]), large[1])


@pytest.mark.parametrize('before', [0, 1, 2, 3, 5, 12])
def test_resumed_equals_uninterrupted(before):
    def new():
        return BatchIterator(*data(10), 4, transform=Augmentation(MEAN, STD, seed=1), seed=2)

    first = new()
    batches(first, before)
    snapshot = save(first)
    resumed = new()
    batches(resumed, 7)  # whatever it did before is forgotten
    chainer.serializers.load_npz(snapshot, resumed)
    for name in ('epoch', 'epoch_detail', 'previous_epoch_detail', 'is_new_epoch'):
        assert getattr(resumed, name) == getattr(first, name)
    assert_equal_batches(batches(resumed, 9), batches(first, 9))


@pytest.mark.parametrize('change', [{'n': 12}, {'batch_size': 5}, {'seed': 1}, {'shuffle': False}])
def test_a_snapshot_of_other_batches_is_refused(change):
    def new(n=10, batch_size=4, **arguments):
        return BatchIterator(*data(n), batch_size, **arguments)

    snapshot = save(new())
    with pytest.raises(ConfigError, match='resume with the same'):
        chainer.serializers.load_npz(snapshot, new(**change))


@pytest.mark.parametrize(('arguments', 'part'), [
    ({'batch_size': 0}, 'batch_size'), ({'batch_size': 1, 'size': 2}, '1 for each of 2'),
    ({'batch_size': 5, 'grain': 2}, 'multiple of 2'),
    ({'rank': 2, 'size': 2}, 'rank'), ({'rank': -1}, 'rank'), ({'t': np.zeros(3)}, 'same number'),
    ({'x': np.zeros((0, 3, 4, 4)), 't': np.zeros(0)}, 'at least one')])
def test_bad_arguments(arguments, part):
    x, t = data(10)
    with pytest.raises(ConfigError, match=part):
        BatchIterator(**{'x': x, 't': t, 'batch_size': 4, **arguments})


class Mean(chainer.Chain):
    """Reports the mean label of a batch, with its weight or without."""

    def __init__(self, weighted):
        super().__init__()
        self.weighted = weighted

    def forward(self, x, t):
        value = float(t.mean())
        chainer.report({'label': (value, len(t)) if self.weighted else value}, self)


@pytest.mark.parametrize(('weighted', 'batch_size', 'exact'),
                         [(True, 4, True), (False, 5, True), (False, 4, False)])
def test_evaluator_means_over_uneven_batches(weighted, batch_size, exact):
    iterator = BatchIterator(*data(10), batch_size, repeat=False, shuffle=False)
    evaluator = extensions.Evaluator(iterator, Mean(weighted), converter=to_device)
    for _ in range(2):
        assert (evaluator()['main/label'] == pytest.approx(4.5)) is exact


def trainer(out, epochs):
    class Net(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.fc = L.Linear(3 * 28 * 28, 5, initialW=np.ones((5, 3 * 28 * 28), 'f') / 1e3)

        def forward(self, x):
            return self.fc(x)

    x, _ = data(40)
    t = (x.mean(axis=(1, 2, 3)) * 50 % 5).astype(np.int32)
    model = L.Classifier(Net())
    optimizer = chainer.optimizers.MomentumSGD(lr=1e-4).setup(model)
    train = BatchIterator(x, t, 16, transform=Augmentation(MEAN, STD))
    test = BatchIterator(x[:, :, :28, :28], t, 40, transform=Standardise(MEAN, STD), repeat=False,
                         shuffle=False)
    updater = training.StandardUpdater(train, optimizer, converter=to_device, device=-1)
    result = training.Trainer(updater, (epochs, 'epoch'), out=out)
    result.extend(extensions.Evaluator(test, model, converter=to_device, device=-1))
    result.extend(extensions.LogReport())
    return result, model


def test_inside_a_trainer(tmp_path):
    whole, model = trainer(tmp_path / 'whole', 4)
    whole.run()
    assert [e['epoch'] for e in whole.get_extension('LogReport').log] == [1, 2, 3, 4]
    assert whole.updater.iteration == 10  # 4 epochs of 40 in batches of 16
    first, _ = trainer(tmp_path / 'first', 2)
    first.run()
    snapshot = save(first)
    second, resumed = trainer(tmp_path / 'second', 4)
    chainer.serializers.load_npz(snapshot, second)
    second.run()
    np.testing.assert_array_equal(resumed.predictor.fc.W.array, model.predictor.fc.W.array)
    seen = [[{k: v for k, v in e.items() if k != 'elapsed_time'}
             for e in t.get_extension('LogReport').log] for t in (whole, second)]
    assert seen[0] == seen[1]


def test_to_device_keeps_a_batch_without_a_device():
    batch = data(3)
    assert to_device(batch, None) is batch


@pytest.mark.gpu
def test_to_device_sends_to_the_gpu():
    x, t = to_device(data(3), chainer.get_device('@cupy:0'))
    assert chainer.backend.get_array_module(x) is chainer.backend.get_array_module(t) is not np
