"""One run: its configuration, the objects it is made of, the folder it leaves behind."""
import lazy_loader

# What only reads configurations and records does without Chainer, which takes seconds to import.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ['run_directory'],
    {'config': ['RunConfig'], 'run': ['run'], 'stop': ['Interrupted', 'StopRun']})
