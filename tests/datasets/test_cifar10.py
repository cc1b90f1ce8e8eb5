"""The CIFAR-10 cache: what is trained on is whole and labelled; what is not is named."""
import os
import zipfile

import chainer
import numpy as np
import pytest
import small_cifar

from chainer_kfac import datasets
from chainer_kfac.datasets import cifar10
from chainer_kfac.exceptions import ConfigError, DataError


def fails(path, *parts):
    """Loading raises one sentence that names the file, the reason and the remedy."""
    with pytest.raises(DataError) as caught:
        datasets.load('cifar10')
    message = str(caught.value)
    assert str(path) in message
    assert '\n' not in message
    assert len(message) < 500
    for part in parts:
        assert part in message
    return message


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_a_good_cache(small, save):
    want = small_cifar.arrays()
    save(small, **want)
    data = datasets.load('cifar10')
    assert data.train_x.shape == (50, 3, 32, 32)
    assert data.test_x.shape == (10, 3, 32, 32)
    assert data.train_x.dtype == data.test_x.dtype == np.uint8
    assert data.train_t.dtype == data.test_t.dtype == np.int32
    np.testing.assert_array_equal(data.train_x.reshape(50, -1), want['train_x'])
    np.testing.assert_array_equal(data.train_t, want['train_y'])
    np.testing.assert_array_equal(data.test_x.reshape(10, -1), want['test_x'])
    np.testing.assert_array_equal(data.test_t, want['test_y'])
    np.testing.assert_allclose(data.mean, data.train_x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(data.std, data.train_x.std(axis=(0, 2, 3)))


def test_chainer_reads_the_same_images(small):
    np.savez(small, **small_cifar.arrays())
    data = datasets.load('cifar10')
    train, test = chainer.datasets.get_cifar10(scale=255.0)
    np.testing.assert_array_equal(np.stack([x for x, _ in train]), data.train_x)
    np.testing.assert_array_equal([t for _, t in test], data.test_t)


def test_the_real_sizes(dataset_root):
    path = cifar10.cache_path()
    path.parent.mkdir(parents=True)
    content = {'train_x': np.zeros((50000, 3072), np.uint8),
               'train_y': (np.arange(50000) % 10).astype(np.uint8),
               'test_x': np.zeros((10000, 3072), np.uint8),
               'test_y': (np.arange(10000) % 10).astype(np.uint8)}
    np.savez(path, **content)
    data = datasets.load('cifar10', train_size=4096, test_size=1000)
    assert data.train_x.shape == (4096, 3, 32, 32)
    assert data.test_x.shape == (1000, 3, 32, 32)
    content['train_y'][0] = 1
    np.savez(path, **content)
    fails(path, 'train_y', '5000')


def test_the_label_follows_the_pixels(small, monkeypatch):
    np.savez(small, **small_cifar.arrays())
    data = datasets.load('cifar10')
    assert data.label == 'CIFAR-10 (sha256 {})'.format(data.digest[:8])
    assert datasets.load('cifar10', train_size=20).digest == data.digest
    monkeypatch.setitem(cifar10.LABELS, data.digest, 'CIFAR-10 (known)')
    assert datasets.load('cifar10').label == 'CIFAR-10 (known)'
    for name in cifar10.ARRAYS:
        changed = small_cifar.arrays()
        changed[name] = changed[name][::-1]
        np.savez(small, **changed)
        assert datasets.load('cifar10').digest != data.digest


def test_the_first_images_where_fewer_are_wanted(small):
    np.savez(small, **small_cifar.arrays())
    whole, part = datasets.load('cifar10'), datasets.load('cifar10', train_size=20, test_size=4)
    np.testing.assert_array_equal(part.train_x, whole.train_x[:20])
    np.testing.assert_array_equal(part.test_t, whole.test_t[:4])
    np.testing.assert_allclose(part.mean, whole.train_x[:20].mean(axis=(0, 2, 3)))


@pytest.mark.parametrize('sizes', [{'train_size': 51}, {'train_size': 0}, {'test_size': 11},
                                   {'test_size': -1}])
def test_a_size_that_there_is_not(small, sizes):
    np.savez(small, **small_cifar.arrays())
    (field, size), = sizes.items()
    with pytest.raises(DataError, match='{} must be .*, got {}'.format(field, size)):
        datasets.load('cifar10', **sizes)


@pytest.mark.parametrize('keep', [0, 1, 100, 0.5, -1, -200])
@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_truncated(small, save, keep):
    save(small, **small_cifar.arrays())
    body = small.read_bytes()
    small.write_bytes(body[:int(keep * len(body)) if isinstance(keep, float) else keep])
    fails(small, 'delete it')


def data_offset(body, member):
    """Where a member's data begins: after its local header, its name and its extra field."""
    name, extra = (int.from_bytes(body[member.header_offset + at:member.header_offset + at + 2],
                                  'little') for at in (26, 28))
    return member.header_offset + 30 + name + extra


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('name', ['train_x', 'train_y', 'test_x', 'test_y'])
def test_one_flipped_bit(small, save, name):
    save(small, **small_cifar.arrays())
    with zipfile.ZipFile(small) as archive:
        member = archive.getinfo(name + '.npy')
    body = bytearray(small.read_bytes())
    data = data_offset(body, member)
    for place in (data + member.compress_size - 2, data + member.compress_size // 2):
        damaged = bytearray(body)
        damaged[place] ^= 0x10
        small.write_bytes(damaged)
        fails(small, 'delete it')


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_any_damage_outside_the_pixels(small, save):
    """Every byte that is not data, one at a time: an error, or nothing lost."""
    want = small_cifar.arrays()
    save(small, **want)
    body = small.read_bytes()
    with zipfile.ZipFile(small) as archive:
        members = archive.infolist()
    places = set(range(len(body)))
    for member in members:
        start = data_offset(body, member)
        places -= set(range(start + 128, start + member.compress_size - 2))
    for place in sorted(places):
        damaged = bytearray(body)
        damaged[place] ^= 0xFF
        small.write_bytes(damaged)
        message = None
        try:
            arrays = cifar10.read(small)
        except DataError as error:
            message = str(error)
        if message is not None:
            assert str(small) in message
            assert '\n' not in message
            continue
        for name in want:
            np.testing.assert_array_equal(arrays[name], want[name])


@pytest.mark.parametrize(('change', 'part'), [
    ({'train_x': np.zeros((49, 3072), np.uint8)}, 'train_x is uint8 (49, 3072)'),
    ({'test_x': np.zeros((10, 3, 32, 32), np.uint8)}, 'test_x'),
    ({'train_x': np.zeros((50, 3072), np.float32)}, 'train_x is float32'),
    ({'train_y': np.arange(50) % 10}, 'train_y is int64'),
    ({'train_y': np.zeros(50, np.uint8)}, 'train_y does not hold each label'),
    ({'test_y': np.arange(10, 20, dtype=np.uint8)}, 'test_y does not hold each label'),
    ({'test_y': np.array([None] * 10)}, 'truncated or corrupt'),
])
def test_not_cifar10(small, change, part):
    np.savez(small, **{**small_cifar.arrays(), **change})
    fails(small, part, 'delete it')


def test_a_missing_array(small):
    content = small_cifar.arrays()
    del content['test_x']
    np.savez(small, **content)
    fails(small, 'test_x', 'delete it')


def test_more_data_than_the_header_says(small):
    np.savez(small, **small_cifar.arrays())
    with zipfile.ZipFile(small) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(small, 'w') as archive:
        for name, body in members.items():
            archive.writestr(name, body + b'x' if name == 'test_y.npy' else body)
    fails(small, 'test_y is followed by more data', 'delete it')


def test_something_else_at_the_place(small):
    small.write_text('<html>404</html>')
    fails(small, 'delete it')
    with open(small, 'wb') as f:
        np.save(f, np.zeros(3))
    fails(small, 'delete it')
    small.unlink()
    small.mkdir()
    fails(small)


def test_no_permission(small, monkeypatch):
    np.savez(small, **small_cifar.arrays())

    def closed(*args, **kwargs):  # not by chmod: root may read everything
        raise PermissionError(13, 'Permission denied', str(small))

    monkeypatch.setattr(zipfile, 'ZipFile', closed)
    fails(small, 'may not be read', 'chmod')


def test_missing_and_no_network(small):
    assert not datasets.is_cached('cifar10')
    fails(small, cifar10.URL, 'Connection refused', 'get_cifar10', 'dataset=digits')
    assert os.listdir(small.parent) == []


def test_missing_and_nowhere_to_put_it(small, monkeypatch):
    small.parent.rmdir()
    small.parent.write_text('a file in the way')
    body = small_cifar.archive()
    with small_cifar.serving(small_cifar.whole(body)) as server:
        monkeypatch.setattr(cifar10, 'URL', server.url)
        monkeypatch.setattr(cifar10, 'MD5', small_cifar.md5(body))
        fails(small, 'cannot write')


def test_downloaded_once(small, monkeypatch):
    body = small_cifar.archive()
    with small_cifar.serving(small_cifar.whole(body)) as server:
        monkeypatch.setattr(cifar10, 'URL', server.url)
        monkeypatch.setattr(cifar10, 'MD5', small_cifar.md5(body))
        first = datasets.load('cifar10')
        assert datasets.is_cached('cifar10')
        assert server.requests == 1
    want = small_cifar.arrays()
    np.testing.assert_array_equal(first.train_x.reshape(50, -1), want['train_x'])
    np.testing.assert_array_equal(first.train_t, want['train_y'])
    np.testing.assert_array_equal(first.test_x.reshape(10, -1), want['test_x'])
    np.testing.assert_array_equal(first.test_t, want['test_y'])
    assert datasets.load('cifar10').digest == first.digest  # the server is gone
    assert not small.with_name(small.name + '.part').exists()


def test_a_full_disk_leaves_nothing(small, monkeypatch):
    body = small_cifar.archive()

    def full(f, **content):
        f.write(b'half of it')
        raise OSError(28, 'No space left on device')

    with small_cifar.serving(small_cifar.whole(body)) as server:
        monkeypatch.setattr(cifar10, 'URL', server.url)
        monkeypatch.setattr(cifar10, 'MD5', small_cifar.md5(body))
        with monkeypatch.context() as patch:
            patch.setattr(np, 'savez', full)
            fails(small, 'No space left')
        assert not small.exists()
        datasets.load('cifar10')


def test_unknown_name():
    with pytest.raises(ConfigError, match="'cifar11'.*cifar10, digits"):
        datasets.load('cifar11')
