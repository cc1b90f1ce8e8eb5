"""Every distribution of Chainer: its properties, a sample and the densities at fixed points."""
import chainer
import chainer.distributions as D

PROPERTIES = ('batch_shape', 'covariance', 'entropy', 'event_shape', 'mean', 'mode', 'stddev',
              'support', 'variance')
METHODS = ('cdf', 'log_cdf', 'log_prob', 'log_survival_function', 'perplexity', 'prob',
           'survival_function')


def outcome(distribution, x, other=None):
    """Whatever the distribution offers; what it does not is named instead.

    Args:
        distribution (chainer.Distribution): the one to look at.
        x (array): a point of its support, for the densities.
        other (chainer.Distribution): a second one, for the divergence.
    """
    result = {'sample': distribution.sample((2,))}
    for name in PROPERTIES:
        result[name] = _offered(lambda: getattr(distribution, name))
    for name in METHODS:
        result[name] = _offered(lambda: getattr(distribution, name)(x))
    result['icdf'] = _offered(lambda: distribution.icdf(abs(x) * 0 + 0.25))
    if other is not None:
        result['kl'] = chainer.kl_divergence(distribution, other)
        result['cross entropy'] = _offered(lambda: chainer.cross_entropy(distribution, other))
    return [result[key] for key in sorted(result)]


def _offered(function):
    try:
        value = function()
    except NotImplementedError:
        return 'not offered'
    except Exception as error:
        return 'raises ' + type(error).__name__
    return str(value) if isinstance(value, tuple) else value


def positive(c, *shape):
    """A variable, from 0.5 to 2."""
    return c.x(*shape, range=(0.5, 2))


def _triangle(c):
    return chainer.functions.cholesky(c.posdef(3))[None]


CASES = {
    'Bernoulli': lambda c: outcome(
        D.Bernoulli(p=c.x(3, range=(0.1, 0.9))), c.i(2, 3).astype(c.dtype),
        D.Bernoulli(logit=c.x(3))),
    'Beta': lambda c: outcome(D.Beta(positive(c, 3), positive(c, 3)),
                              c.array(3, range=(0.1, 0.9)), D.Beta(positive(c, 3), positive(c, 3))),
    'Categorical': lambda c: outcome(
        D.Categorical(p=chainer.functions.softmax(c.x(2, 3))), c.i(3, 2),
        D.Categorical(logit=c.x(2, 3))),
    'Cauchy': lambda c: outcome(D.Cauchy(c.x(3), positive(c, 3)), c.array(3)),
    'Chisquare': lambda c: outcome(D.Chisquare(c.array(3, range=(3, 4))), positive(c, 3).array),
    'Dirichlet': lambda c: outcome(
        D.Dirichlet(positive(c, 2, 3)), chainer.functions.softmax(c.x(2, 3)).array,
        D.Dirichlet(positive(c, 2, 3))),
    'Exponential': lambda c: outcome(
        D.Exponential(positive(c, 3)), positive(c, 3).array, D.Exponential(positive(c, 3))),
    'Gamma': lambda c: outcome(D.Gamma(positive(c, 3), positive(c, 3)), positive(c, 3).array,
                               D.Gamma(positive(c, 3), positive(c, 3))),
    'Geometric': lambda c: outcome(
        D.Geometric(c.x(3, range=(0.1, 0.9))), 1 + c.i(3, 3),
        D.Geometric(c.x(3, range=(0.1, 0.9)))),
    'Gumbel': lambda c: outcome(D.Gumbel(c.x(3), positive(c, 3)), c.array(3),
                                D.Gumbel(c.x(3), positive(c, 3))),
    'Independent': lambda c: outcome(
        D.Independent(D.Normal(c.x(2, 3), positive(c, 2, 3))), c.array(2, 3),
        D.Independent(D.Normal(c.x(2, 3), positive(c, 2, 3)))),
    'Laplace': lambda c: outcome(D.Laplace(c.x(3), positive(c, 3)), c.array(3),
                                 D.Laplace(c.x(3), positive(c, 3))),
    'LogNormal': lambda c: outcome(D.LogNormal(c.x(3), positive(c, 3)), positive(c, 3).array,
                                   D.LogNormal(c.x(3), positive(c, 3))),
    'MultivariateNormal': lambda c: outcome(
        D.MultivariateNormal(c.x(1, 3), scale_tril=_triangle(c)), c.array(1, 3),
        D.MultivariateNormal(c.x(1, 3), scale_tril=_triangle(c))),
    'Normal': lambda c: outcome(D.Normal(c.x(3), positive(c, 3)), c.array(3),
                                D.Normal(c.x(3), log_scale=c.x(3))),
    'OneHotCategorical': lambda c: outcome(
        D.OneHotCategorical(chainer.functions.softmax(c.x(2, 3))),
        (c.i(3, 2)[:, None] == [[0, 1, 2]]).astype(c.dtype)),
    'Pareto': lambda c: outcome(D.Pareto(positive(c, 3), positive(c, 3)),
                                c.array(3, range=(2, 3)), D.Pareto(positive(c, 3), positive(c, 3))),
    'Poisson': lambda c: outcome(D.Poisson(positive(c, 3)), c.i(4, 3).astype(c.dtype),
                                 D.Poisson(positive(c, 3))),
    'Uniform': lambda c: outcome(
        D.Uniform(low=c.x(3), high=c.x(3, range=(2, 3))), c.array(3, range=(1, 2)),
        D.Uniform(loc=c.x(3, range=(-3, -2)), scale=c.x(3, range=(6, 7)))),
}
