"""The same network, loss and momentum SGD in PyTorch."""
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.clock import HostClock, torch_clock


class LeNet5(nn.Module):
    """`chainer_kfac.models.LeNet5`, layer for layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 32, 5, padding=2)
        self.conv3 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc4 = nn.Linear(64 * (1 + 4 + 16), 4096)
        self.fc5 = nn.Linear(4096, 10)

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.conv1(x)), 3, 2, ceil_mode=True)
        h = F.max_pool2d(F.relu(self.conv2(h)), 3, 2, ceil_mode=True)
        h = F.relu(self.conv3(h))
        pyramid = [F.max_pool2d(h, -(-h.shape[2] // bins), ceil_mode=True).flatten(1)
                   for bins in (1, 2, 4)]
        h = F.dropout(F.relu(self.fc4(torch.cat(pyramid, 1))), 0.5, self.training)
        return self.fc5(h)


class TorchStep:
    """One update of ``torch.optim.SGD`` with momentum, on a CPU or (``gpu``) a GPU."""

    def __init__(self, x, t, *, gpu=False):
        device = torch.device('cuda' if gpu else 'cpu')
        self.clock = torch_clock() if gpu else HostClock()
        self.model = LeNet5().to(device)
        self.batch = torch.tensor(x, device=device), torch.tensor(t, device=device).long()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def __call__(self) -> dict:
        """Make a step; seconds by phase."""
        x, t = self.batch
        with self.clock.phase('forward'):
            loss = F.cross_entropy(self.model(x), t)
        with self.clock.phase('backward'):
            self.optimizer.zero_grad()
            loss.backward()
        with self.clock.phase('update'):
            self.optimizer.step()
        return self.clock.take()
