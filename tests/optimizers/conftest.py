import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / 'linalg')]    # for helper modules: ours, stand_in_gpu
