"""``python -m chainer_kfac`` is the ``chainer-kfac`` command."""
import sys

from chainer_kfac.cli import main

sys.exit(main())
