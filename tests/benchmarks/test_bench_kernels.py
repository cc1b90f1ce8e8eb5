"""The table of kernels and their floors."""
from benchmarks import kernels


def test_every_kernel_of_a_step_is_in_the_table(monkeypatch):
    monkeypatch.setattr(kernels, 'SECONDS', 0.01)
    table = kernels.main(2)
    for name in ('conv1 forward', 'conv2 input gradient', 'conv3 weight gradient', 'max pooling',
                 'ReLU gradient', 'dropout', 'momentum SGD', 'Adam'):
        assert '| {} |'.format(name) in table
    assert 'conv1 input gradient' not in table
