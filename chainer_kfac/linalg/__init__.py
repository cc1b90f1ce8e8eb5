"""Dense symmetric linear algebra on NumPy and CuPy arrays, the solver's status never dropped."""
from chainer_kfac.linalg.blas_threads import single_threaded_blas  # noqa: F401
from chainer_kfac.linalg.cholesky import (  # noqa: F401
    cholesky_factor,
    cholesky_inverse,
    cholesky_inverses,
    cholesky_solve,
)
from chainer_kfac.linalg.finite import all_finite, finite_flags  # noqa: F401
from chainer_kfac.linalg.products import add_product, symmetric_product  # noqa: F401
from chainer_kfac.linalg.reading import Later, is_on_host, read  # noqa: F401
from chainer_kfac.linalg.triangle import (  # noqa: F401
    mirror_lower,
    pack_triangle,
    triangle_size,
    unpack_triangle,
)
from chainer_kfac.linalg.workspace import Workspace  # noqa: F401
