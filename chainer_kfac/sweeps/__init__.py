"""Several runs in order: which, how long and on what, and each in a process of its own."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'cells': ['Cell'], 'profiles': ['Profile'], 'runner': ['Sweep'], 'shared': ['SharedSweep']})
