"""Makes the folder ``benchmarks`` of the clone importable, as ``chainer-kfac bench`` does."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
