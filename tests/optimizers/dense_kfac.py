"""K-FAC by explicit Kronecker products in float64: slow, and independent of the package.

Every example goes through the network alone; every factor is a sum of outer products over
examples, calls and positions; every preconditioned gradient is the solution of a linear system
with the explicit matrix kron(G + sqrt(damping)/pi I, A + pi sqrt(damping) I).
"""
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np


class DenseKFAC:
    """Optimizes a float64 `small_nets.Net` in place; the meaning of the arguments is KFAC's."""

    def __init__(self, net, *, lr=0.001, momentum=0.9, cov_ema_decay=0.99, damping=0.03,
                 ema_weighs='new', fisher='empirical', factor_update_interval=1,
                 inverse_update_interval=1, weight_decay=0.0, seed=0, squared_error=False,
                 pi_type='tracenorm'):
        self.net = net
        self.__dict__.update(
            lr=lr, momentum=momentum, damping=damping, fisher=fisher, decay=weight_decay, seed=seed,
            factor_interval=factor_update_interval, inverse_interval=inverse_update_interval,
            squared_error=squared_error, pi_type=pi_type)
        self.weight_of_new = cov_ema_decay if ema_weighs == 'new' else 1 - cov_ema_decay
        self.step = 0
        self.velocity = {}
        self.averages = {}
        self.damped = {}

    def update(self, x, t):
        net = self.net
        self.net.cleargrads()
        self._loss(net(x), t).backward()
        grads = {name: param.grad + self.decay * param.array for name, param in net.namedparams()}
        links = {link: link.name for link, _, _ in net.calls}
        if self.step % self.factor_interval == 0:
            for name, new in self._factors(x, t, links).items():
                old = self.averages.get(name)
                r = self.weight_of_new
                self.averages[name] = new if old is None else [
                    (r * A + (1 - r) * A_old, r * G + (1 - r) * G_old)
                    for (A, G), (A_old, G_old) in zip(new, old, strict=True)]
        if self.step % self.inverse_interval == 0:
            for name, pairs in self.averages.items():
                self.damped[name] = [self._damp(A, G) for A, G in pairs]
        for link, name in links.items():
            self._precondition(link, name, grads)
        for name, param in net.namedparams():
            m = self.momentum * self.velocity.get(name, 0.0) - self.lr * grads[name]
            self.velocity[name] = m
            param.array += m
        self.step += 1

    def _loss(self, y, t):
        return (F.mean_squared_error if self.squared_error else F.softmax_cross_entropy)(y, t)

    # Factors

    def _factors(self, x, t, links):
        """name -> [(A, G) of each group], sums over examples one by one."""
        random = np.random.default_rng([self.seed, self.step])
        drawn = self._drawn(self.net(x).array, random) if self.fisher == 'mc' else t
        sums = {}
        for n in range(len(x)):
            y = self.net(x[n:n + 1])
            calls = self.net.calls
            outputs = [output for _, _, output in calls]
            losses = self._losses(y, drawn[n:n + 1])
            gradients = [chainer.grad([loss], outputs) for _, loss in losses]
            for i, (link, a, _) in enumerate(calls):
                weighted = [(weight, gs[i].array[0]) for (weight, _), gs in zip(
                    losses, gradients, strict=True)]
                self._add_call(sums, link, chainer.as_array(a)[0], weighted)
        return {name: [(A / len(x), G / positions) for A, G, positions in sums[link]]
                for link, name in links.items()}

    def _add_call(self, sums, link, a, gradients):
        """Add one call for one example to the sums of A, of G and of positions, by group."""
        groups = getattr(link, 'groups', 1)
        found = sums.setdefault(link, [(0.0, 0.0, 0)] * groups)
        for group, (A, G, positions) in enumerate(found):
            for row in self._rows(link, group, a):
                A = A + np.outer(row, row)
                positions += 1
            for weight, g in gradients:
                n = len(g) // groups
                for row in g[group * n:(group + 1) * n].reshape(n, -1).T:
                    G = G + weight * np.outer(row, row)
            found[group] = A, G, positions

    def _losses(self, y, t):
        """(weight, loss of one example) such that G is the weighted sum of outer products."""
        if self.fisher != 'exact':
            return [(1.0, self._loss(y, t))]
        if self.squared_error:          # unit seeds: the Fisher matrix of y is 2/d I
            return [(2.0 / y.size, y[0, j]) for j in range(y.size)]
        p = F.softmax(y).array[0]
        return [(p[k], self._loss(y, np.array([k], np.int32))) for k in range(y.size)]

    def _drawn(self, y, random):
        if self.squared_error:          # variance d/2
            return y + (y.shape[1] / 2) ** 0.5 * random.standard_normal(y.shape)
        u = random.random(len(y))
        cumulative = np.cumsum(F.softmax(y).array, axis=1)
        return np.array([np.searchsorted(row, value) for row, value in zip(
            cumulative, u, strict=True)], np.int32)

    def _rows(self, link, group, x):
        """The vectors that the layer's weights meet in one example, one for each position."""
        if isinstance(link, L.Linear):
            rows = [x.ravel()]
        else:
            rows = patches(x, link, group)
        return [row if link.b is None else np.append(row, 1.0) for row in rows]

    # Preconditioning

    def _damp(self, A, G):
        pi = 1.0
        if self.pi_type == 'tracenorm':
            pi = np.sqrt((np.trace(A) / len(A)) / (np.trace(G) / len(G)))
        damping = max(self.damping, self.decay)
        return (A + pi * np.sqrt(damping) * np.eye(len(A)),
                G + np.sqrt(damping) / pi * np.eye(len(G)))

    def _precondition(self, link, name, grads):
        groups = getattr(link, 'groups', 1)
        weight = grads['/{}/W'.format(name)]
        pieces = []
        for group, (A, G) in enumerate(self.damped[name]):
            n = len(weight) // groups
            D = weight[group * n:(group + 1) * n].reshape(n, -1)
            if link.b is not None:
                bias = grads['/{}/b'.format(name)][group * n:(group + 1) * n]
                D = np.hstack([D, bias[:, None]])
            pieces.append(np.linalg.solve(np.kron(G, A), D.ravel()).reshape(D.shape))
        solved = np.vstack(pieces)
        if link.b is not None:
            grads['/{}/b'.format(name)] = solved[:, -1]
            solved = solved[:, :-1]
        grads['/{}/W'.format(name)] = solved.reshape(weight.shape)


def patches(x, link, group):
    """Zero-padded patches of one image (C, h, w) that one group of output channels sees."""
    (sy, sx), (ph, pw), (dy, dx) = (_pair(v) for v in (link.stride, link.pad, link.dilate))
    kh, kw = link.W.shape[2:]
    channels = len(x) // link.groups
    x = x[group * channels:(group + 1) * channels]
    padded = np.zeros((channels, x.shape[1] + 2 * ph, x.shape[2] + 2 * pw))
    padded[:, ph:ph + x.shape[1], pw:pw + x.shape[2]] = x
    rows = []
    for top in range(0, padded.shape[1] - dy * (kh - 1), sy):
        for left in range(0, padded.shape[2] - dx * (kw - 1), sx):
            rows.append(np.array([
                padded[c, top + dy * i, left + dx * j]
                for c in range(channels) for i in range(kh) for j in range(kw)]))
    return rows


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)
