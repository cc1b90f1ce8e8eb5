"""``chainer-kfac`` where CUDA_VISIBLE_DEVICES names GPUs that are there in name only.

``python gpu_stand_in.py ARGS...`` is ``chainer-kfac ARGS...``; with ``devices`` for ARGS each rank
says which GPU it would train on. The GPUs can be counted and told apart, and compute nothing: this
is for tests of what comes before that.
"""
import os
import platform
import sys
from types import SimpleNamespace

from chainer_kfac import cli
from chainer_kfac.communicators import world
from chainer_kfac.training import device

VISIBLE = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')


def install(put=setattr):
    """Put them where a run looks for its GPU; ``put`` may be pytest's ``monkeypatch.setattr``."""
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(
        getDeviceCount=lambda: len(VISIBLE),
        getDeviceProperties=lambda number: {'uuid': VISIBLE[number].encode()})))

    def get_device(name):
        if name == '@numpy':
            return SimpleNamespace(xp=None)
        number = int(name.removeprefix('@cupy:'))
        return SimpleNamespace(xp=cupy, device=SimpleNamespace(
            id=number, pci_bus_id='0000:{}:00.0'.format(VISIBLE[number])))

    put(device, 'chainer', SimpleNamespace(get_device=get_device))
    put(device, 'cuda', SimpleNamespace(available=True, cupy=cupy))
    put(device, 'require', lambda *_: cupy)


def tell():
    """One line a rank."""
    with world.joined() as ranks:
        chosen = device.of_rank('auto', ranks).device
        line = '{} {} {}\n'.format(ranks.rank, platform.node(), VISIBLE[chosen.id])
        os.write(1, line.encode())  # at once, or the lines of two ranks may mix


if __name__ == '__main__':
    install()
    sys.exit(tell() if sys.argv[1:] == ['devices'] else cli.main())
