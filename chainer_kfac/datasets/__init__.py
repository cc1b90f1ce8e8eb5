"""Images to train on: CIFAR-10 from Chainer's cache, a stand-in, batches and their augmentation."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'augmentation': ['Augmentation', 'Standardise'],
    'image_data': ['ImageData', 'split_holdout'],
    'iterator': ['BatchIterator', 'to_device'],
    'registry': ['REGISTRY', 'is_cached', 'load']})
