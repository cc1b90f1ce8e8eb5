"""Which Fisher block covers which type of link.

    @register(L.Linear)
    class LinearBlock(FisherBlock): ...

A new link type is one file with one such line.
"""
import chainer

_BLOCK_CLASSES: dict[type, type] = {}


def register(link_class: type):
    """Class decorator: the block class that covers links of ``link_class`` and its subclasses."""
    def add(block_class):
        _BLOCK_CLASSES[link_class] = block_class
        return block_class
    return add


def registered() -> dict[type, type]:
    """Link class -> block class, a copy."""
    return dict(_BLOCK_CLASSES)


def block_class(link: chainer.Link) -> type | None:
    """The block class for ``link``: that of the nearest registered base class, None without one."""
    for base in type(link).__mro__:
        if base in _BLOCK_CLASSES:
            return _BLOCK_CLASSES[base]
    return None
