"""One call, or several, of every function of Chainer: ``name`` or ``name@variant`` -> case.

A case takes a ``Draw`` (see ``inputs``) and returns what the function returned. The file runs on
the Python and NumPy of Chainer's time as well, where the expected outcomes come from.
"""
import chainer.functions as F
import numpy as np
from chainer import utils
from chainer.utils import walker_alias

ELEMENTWISE = {
    'absolute': (-1, 1), 'arccos': (-0.9, 0.9), 'arcsin': (-0.9, 0.9), 'arctan': (-1, 1),
    'arctanh': (-0.9, 0.9), 'ceil': (-2, 2), 'clipped_relu': (-2, 2), 'cos': (-1, 1),
    'cosh': (-1, 1), 'digamma': (0.5, 3), 'elu': (-1, 1), 'erf': (-1, 1), 'erfc': (-1, 1),
    'erfcinv': (0.2, 1.8), 'erfcx': (-1, 1), 'erfinv': (-0.9, 0.9), 'exp': (-1, 1),
    'expm1': (-1, 1), 'fix': (-2, 2), 'flatten': (-1, 1), 'floor': (-2, 2),
    'hard_sigmoid': (-3, 3), 'identity': (-1, 1), 'leaky_relu': (-1, 1), 'lgamma': (0.5, 3),
    'log': (0.5, 3), 'log10': (0.5, 3), 'log1p': (-0.5, 3), 'log2': (0.5, 3), 'log_ndtr': (-1, 1),
    'ndtr': (-1, 1), 'ndtri': (0.1, 0.9), 'relu': (-1, 1), 'relu6': (-2, 8), 'rsqrt': (0.5, 3),
    'selu': (-1, 1), 'sigmoid': (-1, 1), 'sign': (-1, 1), 'sin': (-1, 1), 'sinh': (-1, 1),
    'softplus': (-1, 1), 'sqrt': (0.5, 3), 'square': (-1, 1), 'tan': (-1, 1), 'tanh': (-1, 1),
}
"""Functions of one array, element by element, with the interval that they are tried on."""

CASES = {}
for _name, (_low, _high) in ELEMENTWISE.items():
    CASES[_name] = (lambda c, f=getattr(F, _name), r=(_low, _high): f(c.x(2, 3, range=r)))
    CASES[_name + '@scalar'] = (lambda c, f=getattr(F, _name), r=(_low, _high): f(c.x(range=r)))

CASES.update({
    # functions/activation
    'clipped_relu@z': lambda c: F.clipped_relu(c.x(2, 3, range=(-2, 2)), 0.5),
    'crelu': lambda c: F.crelu(c.x(2, 3)),
    'elu@alpha': lambda c: F.elu(c.x(2, 3), 0.5),
    'log_softmax': lambda c: F.log_softmax(c.x(2, 3)),
    'log_softmax@4d': lambda c: F.log_softmax(c.x(2, 3, 2, 2)),
    'lstm': lambda c: F.lstm(c.x(2, 3), c.x(2, 12)),
    'maxout': lambda c: F.maxout(c.x(2, 6), 3),
    'prelu': lambda c: F.prelu(c.x(2, 3, 4), c.x(3, 4)),
    'rrelu': lambda c: F.rrelu(c.x(2, 3)),
    'rrelu@test': lambda c: c.test(lambda: F.rrelu(c.x(2, 3))),
    'slstm': lambda c: F.slstm(c.x(2, 3), c.x(2, 3), c.x(2, 12), c.x(2, 12)),
    'softmax': lambda c: F.softmax(c.x(2, 3)),
    'softmax@axis': lambda c: F.softmax(c.x(2, 3, 4), axis=2),
    'swish': lambda c: F.swish(c.x(2, 3), c.x(3)),
    'tree_lstm': lambda c: F.tree_lstm(c.x(2, 3), c.x(2, 3), c.x(2, 15)),
    # functions/array
    'as_strided': lambda c: F.as_strided(c.x(6), (2, 3), (1, 1), 0),
    'broadcast': lambda c: F.broadcast(c.x(2, 1), c.x(1, 3)),
    'broadcast_to': lambda c: F.broadcast_to(c.x(1, 3), (2, 3)),
    'cast': lambda c: F.cast(c.x(2, 3), 'f8'),
    'concat': lambda c: F.concat([c.x(2, 3), c.x(2, 1)], axis=1),
    'copy': lambda c: F.copy(c.x(2, 3), -1),
    'depth2space': lambda c: F.depth2space(c.x(1, 8, 2, 2), 2),
    'diagonal': lambda c: F.diagonal(c.x(3, 3), 1),
    'dstack': lambda c: F.dstack([c.x(2, 3), c.x(2, 3)]),
    'expand_dims': lambda c: F.expand_dims(c.x(2, 3), 1),
    'flip': lambda c: F.flip(c.x(2, 3), 1),
    'fliplr': lambda c: F.fliplr(c.x(2, 3)),
    'flipud': lambda c: F.flipud(c.x(2, 3)),
    'get_item': lambda c: F.get_item(c.x(4, 3), (slice(1, 3), 2)),
    'get_item@advanced': lambda c: F.get_item(c.x(4, 3), ([0, 2, 2], [1, 0, 0])),
    'get_item@mask': lambda c: c.x(4, 3)[np.array([True, False, True, True])],
    'get_item@ellipsis': lambda c: c.x(4, 3, 2)[..., None, 0],
    'hstack': lambda c: F.hstack([c.x(2, 3), c.x(2, 3)]),
    'im2col': lambda c: F.im2col(c.x(1, 2, 5, 5), 3, pad=1),
    'moveaxis': lambda c: F.moveaxis(c.x(2, 3, 4), 0, 2),
    'pad': lambda c: F.pad(c.x(2, 3), 1, 'constant', constant_values=2),
    'pad_sequence': lambda c: F.pad_sequence([c.x(2), c.x(3)], padding=-1),
    'permutate': lambda c: F.permutate(c.x(3, 2), np.array([2, 0, 1], 'i')),
    'repeat': lambda c: F.repeat(c.x(2, 3), 2, axis=1),
    'reshape': lambda c: F.reshape(c.x(2, 3), (3, -1)),
    'resize_images': lambda c: F.resize_images(c.x(1, 2, 4, 4), (3, 7)),
    'resize_images@half': lambda c: F.resize_images(c.x(1, 2, 4, 4), (3, 7), align_corners=False),
    'resize_images@nearest': lambda c: F.resize_images(
        c.x(1, 2, 4, 4), (3, 7), mode='nearest', align_corners=False),
    'rollaxis': lambda c: F.rollaxis(c.x(2, 3, 4), 2),
    'scatter_add': lambda c: F.scatter_add(c.x(4, 3), (slice(1, 3), 2), c.x(2)),
    'select_item': lambda c: F.select_item(c.x(3, 4), c.i(4, 3)),
    'separate': lambda c: F.separate(c.x(2, 3), 1),
    'space2depth': lambda c: F.space2depth(c.x(1, 2, 4, 4), 2),
    'spatial_transformer_grid': lambda c: F.spatial_transformer_grid(c.x(2, 2, 3), (3, 4)),
    'spatial_transformer_sampler': lambda c: F.spatial_transformer_sampler(
        c.x(2, 3, 4, 4), c.x(2, 2, 3, 3)),
    'split_axis': lambda c: F.split_axis(c.x(2, 6), [2, 3], 1),
    'squeeze': lambda c: F.squeeze(c.x(2, 1, 3)),
    'stack': lambda c: F.stack([c.x(2, 3), c.x(2, 3)], axis=1),
    'swapaxes': lambda c: F.swapaxes(c.x(2, 3, 4), 0, 2),
    'tile': lambda c: F.tile(c.x(2, 3), (2, 1)),
    'transpose': lambda c: F.transpose(c.x(2, 3, 4), (1, 0, 2)),
    'transpose_sequence': lambda c: F.transpose_sequence([c.x(3), c.x(2)]),
    'vstack': lambda c: F.vstack([c.x(2, 3), c.x(1, 3)]),
    'where': lambda c: F.where(np.array([[True, False, True]]), c.x(2, 3), c.x(2, 3)),
    # functions/connection
    'bilinear': lambda c: F.bilinear(
        c.x(2, 3), c.x(2, 4), c.x(3, 4, 5), c.x(3, 5), c.x(4, 5), c.x(5)),
    'convolution_1d': lambda c: F.convolution_1d(c.x(2, 3, 7), c.x(4, 3, 3), c.x(4), pad=1),
    'convolution_2d': lambda c: F.convolution_2d(
        c.x(2, 3, 6, 7), c.x(4, 3, 3, 3), c.x(4), stride=2, pad=1),
    'convolution_2d@groups': lambda c: F.convolution_2d(
        c.x(2, 4, 6, 7), c.x(4, 2, 3, 3), dilate=2, pad=2, groups=2),
    'convolution_3d': lambda c: F.convolution_3d(c.x(1, 2, 4, 4, 4), c.x(3, 2, 3, 3, 3), c.x(3)),
    'convolution_nd': lambda c: F.convolution_nd(
        c.x(1, 4, 5, 5), c.x(4, 2, 3, 3), c.x(4), groups=2),
    'deconvolution_1d': lambda c: F.deconvolution_1d(c.x(2, 3, 4), c.x(3, 4, 3), c.x(4)),
    'deconvolution_2d': lambda c: F.deconvolution_2d(
        c.x(2, 3, 4, 4), c.x(3, 4, 3, 3), c.x(4), stride=2, pad=1),
    'deconvolution_2d@groups': lambda c: F.deconvolution_2d(
        c.x(2, 4, 4, 4), c.x(4, 2, 3, 3), groups=2, outsize=(6, 6)),
    'deconvolution_3d': lambda c: F.deconvolution_3d(c.x(1, 2, 3, 3, 3), c.x(2, 3, 2, 2, 2)),
    'deconvolution_nd': lambda c: F.deconvolution_nd(
        c.x(1, 4, 3, 3), c.x(4, 2, 2, 2), c.x(4), groups=2),
    'deformable_convolution_2d_sampler': lambda c: F.deformable_convolution_2d_sampler(
        c.x(1, 2, 5, 5), c.x(1, 18, 3, 3), c.x(3, 2, 3, 3), c.x(3)),
    'depthwise_convolution_2d': lambda c: F.depthwise_convolution_2d(
        c.x(2, 3, 5, 5), c.x(2, 3, 3, 3), c.x(6)),
    'dilated_convolution_2d': lambda c: F.dilated_convolution_2d(
        c.x(2, 3, 7, 7), c.x(4, 3, 3, 3), c.x(4), dilate=2),
    'embed_id': lambda c: F.embed_id(c.i(5, 4), c.x(5, 3)),
    'embed_id@ignore': lambda c: F.embed_id(np.array([1, -1, 2], 'i'), c.x(5, 3), ignore_label=-1),
    'linear': lambda c: F.linear(c.x(2, 3), c.x(4, 3), c.x(4)),
    'linear@axes': lambda c: F.linear(c.x(2, 3, 5), c.x(4, 5), n_batch_axes=2),
    'local_convolution_2d': lambda c: F.local_convolution_2d(
        c.x(2, 3, 5, 5), c.x(4, 3, 3, 3, 3, 3), c.x(4, 3, 3)),
    'n_step_lstm': lambda c: F.n_step_lstm(
        2, 0.5, c.x(2, 2, 3), c.x(2, 2, 3), *c.rnn(2, 4, 3, 8), c.sequences(4)),
    'n_step_bilstm': lambda c: F.n_step_bilstm(
        1, 0.0, c.x(2, 2, 3), c.x(2, 2, 3), *c.rnn(2, 4, 3, 8, stacked=False), c.sequences(4)),
    'n_step_gru': lambda c: F.n_step_gru(
        2, 0.5, c.x(2, 2, 3), *c.rnn(2, 4, 3, 6), c.sequences(4)),
    'n_step_bigru': lambda c: F.n_step_bigru(
        1, 0.0, c.x(2, 2, 3), *c.rnn(2, 4, 3, 6, stacked=False), c.sequences(4)),
    'n_step_rnn': lambda c: F.n_step_rnn(
        2, 0.5, c.x(2, 2, 3), *c.rnn(2, 4, 3, 2), c.sequences(4), activation='relu'),
    'n_step_birnn': lambda c: F.n_step_birnn(
        1, 0.0, c.x(2, 2, 3), *c.rnn(2, 4, 3, 2, stacked=False), c.sequences(4)),
    'shift': lambda c: F.shift(c.x(1, 9, 4, 4)),
    # functions/evaluation: no gradients
    'accuracy': lambda c: F.accuracy(c.x(4, 3), c.i(3, 4)),
    'accuracy@ignore': lambda c: F.accuracy(
        c.x(4, 3), np.array([0, -1, 2, 1], 'i'), ignore_label=-1),
    'binary_accuracy': lambda c: F.binary_accuracy(c.x(4), c.i(2, 4)),
    'classification_summary': lambda c: F.classification_summary(c.x(5, 3), c.i(3, 5), 3),
    'f1_score': lambda c: F.f1_score(c.x(5, 3), c.i(3, 5), 3),
    'precision': lambda c: F.precision(c.x(5, 3), c.i(3, 5), 3),
    'r2_score': lambda c: F.r2_score(c.x(5), c.x(5)),
    'r2_score@raw': lambda c: F.r2_score(c.x(5, 2), c.x(5, 2), multioutput='raw_values'),
    'recall': lambda c: F.recall(c.x(5, 3), c.i(3, 5), 3),
    # functions/loss
    'absolute_error': lambda c: F.absolute_error(c.x(2, 3), c.x(2, 3)),
    'bernoulli_nll': lambda c: F.bernoulli_nll(c.x(2, 3, range=(0, 1)), c.x(2, 3)),
    'black_out': lambda c: F.black_out(c.x(2, 3), c.i(5, 2), c.x(5, 3), c.i(5, 2, 4)),
    'connectionist_temporal_classification': lambda c: F.connectionist_temporal_classification(
        [c.x(2, 3) for _ in range(4)], c.i(2, 2, 2), 2),
    'contrastive': lambda c: F.contrastive(c.x(3, 2), c.x(3, 2), np.array([0, 1, 0], 'i')),
    'crf1d': lambda c: F.crf1d(c.x(3, 3), [c.x(2, 3), c.x(2, 3)], [c.i(3, 2), c.i(3, 2)]),
    'argmax_crf1d': lambda c: F.argmax_crf1d(c.x(3, 3), [c.x(2, 3), c.x(2, 3)]),
    'cross_covariance': lambda c: F.cross_covariance(c.x(4, 2), c.x(4, 3)),
    'decov': lambda c: F.decov(c.x(4, 3)),
    'discriminative_margin_based_clustering_loss':
        lambda c: F.discriminative_margin_based_clustering_loss(
            c.x(3, 3, 4, 4), c.i(4, 3, 4, 4), 0.5, 1.5, 3),
    'gaussian_kl_divergence': lambda c: F.gaussian_kl_divergence(c.x(2, 3), c.x(2, 3)),
    'gaussian_nll': lambda c: F.gaussian_nll(c.x(2, 3), c.x(2, 3), c.x(2, 3)),
    'hinge': lambda c: F.hinge(c.x(4, 3), c.i(3, 4)),
    'hinge@L2': lambda c: F.hinge(c.x(4, 3), c.i(3, 4), norm='L2', reduce='no'),
    'huber_loss': lambda c: F.huber_loss(c.x(2, 3), c.x(2, 3), 0.5),
    'mean_absolute_error': lambda c: F.mean_absolute_error(c.x(2, 3), c.x(2, 3)),
    'mean_squared_error': lambda c: F.mean_squared_error(c.x(2, 3), c.x(2, 3)),
    'negative_sampling': lambda c: F.negative_sampling(
        c.x(2, 3), c.i(5, 2), c.x(5, 3), walker_alias.WalkerAlias([1, 2, 3, 4, 5]).sample, 2),
    'sigmoid_cross_entropy': lambda c: F.sigmoid_cross_entropy(c.x(4, 3), c.i(2, 4, 3)),
    'softmax_cross_entropy': lambda c: F.softmax_cross_entropy(c.x(4, 3), c.i(3, 4)),
    'softmax_cross_entropy@weight': lambda c: F.softmax_cross_entropy(
        c.x(4, 3), c.i(3, 4), class_weight=c.array(3, range=(0.5, 1))),
    'softmax_cross_entropy@no': lambda c: F.softmax_cross_entropy(
        c.x(4, 3, 2), c.i(3, 4, 2), reduce='no', normalize=False),
    'softmax_cross_entropy@double': lambda c: F.softmax_cross_entropy(
        c.x(4, 3), c.i(3, 4), enable_double_backprop=True),
    'softmax_cross_entropy@soft': lambda c: F.softmax_cross_entropy(
        c.x(4, 3), c.array(4, 3, range=(0, 1))),
    'squared_error': lambda c: F.squared_error(c.x(2, 3), c.x(2, 3)),
    'triplet': lambda c: F.triplet(c.x(3, 2), c.x(3, 2), c.x(3, 2)),
    # functions/math
    'add': lambda c: F.add(c.x(2, 3), c.x(2, 3)),
    'add@many': lambda c: F.add(c.x(2, 3), c.x(2, 3), c.x(2, 3)),
    'arctan2': lambda c: F.arctan2(c.x(2, 3), c.x(2, 3)),
    'argmax': lambda c: F.argmax(c.x(2, 3), axis=1),
    'argmin': lambda c: F.argmin(c.x(2, 3)),
    'average': lambda c: F.average(c.x(2, 3), axis=1, weights=c.x(3, range=(0.5, 1))),
    'batch_det': lambda c: F.batch_det(c.x(2, 3, 3)),
    'batch_inv': lambda c: F.batch_inv(c.posdef(2, 3)),
    'batch_l2_norm_squared': lambda c: F.batch_l2_norm_squared(c.x(2, 3)),
    'batch_matmul': lambda c: F.batch_matmul(c.x(2, 3, 4), c.x(2, 4, 2)),
    'bias': lambda c: F.bias(c.x(2, 3), c.x(3)),
    'cholesky': lambda c: F.cholesky(c.posdef(3)),
    'clip': lambda c: F.clip(c.x(2, 3), -0.5, 0.5),
    'cumprod': lambda c: F.cumprod(c.x(2, 3, range=(0.5, 1)), axis=1),
    'cumsum': lambda c: F.cumsum(c.x(2, 3), axis=1),
    'det': lambda c: F.det(c.x(3, 3)),
    'einsum': lambda c: F.einsum('ij,jk->ik', c.x(2, 3), c.x(3, 4)),
    'einsum@ellipsis': lambda c: F.einsum('...i,i->...', c.x(2, 3), c.x(3)),
    'fft': lambda c: F.fft((c.x(2, 4), c.x(2, 4))),
    'ifft': lambda c: F.ifft((c.x(2, 4), c.x(2, 4))),
    'fmod': lambda c: F.fmod(c.x(2, 3), c.x(2, 3, range=(0.5, 1))),
    'inv': lambda c: F.inv(c.posdef(3)),
    'linear_interpolate': lambda c: F.linear_interpolate(c.x(2, 3), c.x(2, 3), c.x(2, 3)),
    'logsumexp': lambda c: F.logsumexp(c.x(2, 3), axis=1),
    'matmul': lambda c: F.matmul(c.x(2, 3), c.x(4, 3), transb=True),
    'max': lambda c: F.max(c.x(2, 3), axis=1),
    'maximum': lambda c: F.maximum(c.x(2, 3), c.x(2, 3)),
    'mean': lambda c: F.mean(c.x(2, 3)),
    'mean@axis': lambda c: F.mean(c.x(2, 3), axis=1, keepdims=True),
    'min': lambda c: F.min(c.x(2, 3), axis=1),
    'minimum': lambda c: F.minimum(c.x(2, 3), c.x(2, 3)),
    'polygamma': lambda c: F.polygamma(np.array([1, 2, 1], 'i'), c.x(3, range=(0.5, 3))),
    'prod': lambda c: F.prod(c.x(2, 3), axis=1),
    'scale': lambda c: F.scale(c.x(2, 3), c.x(3)),
    'sparse_matmul': lambda c: F.sparse_matmul(utils.to_coo(c.array(2, 3), requires_grad=True),
                                               c.x(3, 4)),
    'squared_difference': lambda c: F.squared_difference(c.x(2, 3), c.x(2, 3)),
    'sum': lambda c: F.sum(c.x(2, 3)),
    'sum@axis': lambda c: F.sum(c.x(2, 3), axis=0, keepdims=True),
    'sum_to': lambda c: F.sum_to(c.x(2, 3), (1, 3)),
    'tensordot': lambda c: F.tensordot(c.x(2, 3, 4), c.x(4, 3, 2), axes=((1, 2), (1, 0))),
    'zeta': lambda c: F.zeta(c.array(3, range=(2, 3)), c.x(3, range=(1, 3))),
    # the operators of Variable
    'add@operators': lambda c: 2 + c.x(2, 3) + 1.5 + np.float64(2) + np.ones((2, 3), c.dtype),
    'add@operators0d': lambda c: 2 + c.x() + 1.5 + np.float32(2) - 1 - np.float64(3),
    'scale@operators': lambda c: 3 * c.x(2, 3) * np.float64(2) / 2 / np.float32(3),
    'scale@operators0d': lambda c: 3 * c.x() * np.float64(2) / 2 / np.float32(3),
    'scale@divide': lambda c: 1 / c.x(2, 3, range=(1, 2)) - 2.5 // c.x(2, 3, range=(1, 2)),
    'square@power': lambda c: c.x(2, 3, range=(1, 2)) ** 2 + c.x(2, 3, range=(1, 2)) ** -0.5,
    'exp@power': lambda c: 2 ** c.x(2, 3) + c.x(2, 3, range=(1, 2)) ** c.x(2, 3),
    'absolute@operators': lambda c: abs(-c.x(2, 3)) + (+c.x(2, 3)),
    'matmul@operator': lambda c: c.x(2, 3) @ c.x(3, 2),
    'reshape@method': lambda c: c.x(2, 3).reshape(3, 2).transpose().reshape(-1),
    # functions/noise
    'dropout': lambda c: F.dropout(c.x(4, 3), 0.3),
    'gaussian': lambda c: F.gaussian(c.x(2, 3), c.x(2, 3)),
    'gumbel_softmax': lambda c: F.gumbel_softmax(F.log_softmax(c.x(2, 3)), 0.5),
    'simplified_dropconnect': lambda c: F.simplified_dropconnect(c.x(2, 3), c.x(4, 3), c.x(4)),
    'zoneout': lambda c: F.zoneout(c.x(2, 3), c.x(2, 3)),
    # functions/normalization
    'batch_normalization': lambda c: F.batch_normalization(c.x(4, 3), c.x(3), c.x(3)),
    'batch_normalization@4d': lambda c: F.batch_normalization(
        c.x(2, 3, 4, 4), c.x(3), c.x(3), running_mean=c.array(3), running_var=c.array(3)),
    'fixed_batch_normalization': lambda c: F.fixed_batch_normalization(
        c.x(4, 3), c.x(3), c.x(3), c.x(3), c.x(3, range=(0.5, 1))),
    'batch_renormalization': lambda c: F.batch_renormalization(
        c.x(4, 3), c.x(3), c.x(3), 3.0, 5.0,
        running_mean=c.array(3), running_var=c.array(3, range=(0.5, 1)), update_statistics=True),
    'fixed_batch_renormalization': lambda c: F.fixed_batch_renormalization(
        c.x(4, 3), c.x(3), c.x(3), c.x(3), c.x(3, range=(0.5, 1))),
    'decorrelated_batch_normalization': lambda c: F.decorrelated_batch_normalization(
        c.x(8, 4), groups=2),
    'fixed_decorrelated_batch_normalization':
        lambda c: F.fixed_decorrelated_batch_normalization(
            c.x(8, 4), c.x(2, 2), c.x(2, 2, 2), groups=2),
    'group_normalization': lambda c: F.group_normalization(c.x(2, 4, 3, 3), 2, c.x(4), c.x(4)),
    'layer_normalization': lambda c: F.layer_normalization(c.x(2, 3), c.x(3), c.x(3)),
    'local_response_normalization': lambda c: F.local_response_normalization(c.x(2, 6, 2, 2)),
    'normalize': lambda c: F.normalize(c.x(2, 3)),
    # functions/pooling
    'average_pooling_1d': lambda c: F.average_pooling_1d(c.x(2, 3, 6), 2),
    'average_pooling_2d': lambda c: F.average_pooling_2d(c.x(2, 3, 5, 5), 3, 2, 1),
    'average_pooling_3d': lambda c: F.average_pooling_3d(c.x(1, 2, 4, 4, 4), 2),
    'average_pooling_nd': lambda c: F.average_pooling_nd(c.x(1, 2, 4, 4), 3, pad=1, pad_value=None),
    'max_pooling_1d': lambda c: F.max_pooling_1d(c.x(2, 3, 6), 2),
    'max_pooling_2d': lambda c: F.max_pooling_2d(c.x(2, 3, 5, 5), 3, 2, 1),
    'max_pooling_2d@indices': lambda c: F.max_pooling_2d(c.x(2, 3, 4, 4), 2, return_indices=True),
    'max_pooling_3d': lambda c: F.max_pooling_3d(c.x(1, 2, 4, 4, 4), 2),
    'max_pooling_nd': lambda c: F.max_pooling_nd(c.x(1, 2, 4, 4), 2, return_indices=True),
    'roi_average_align_2d': lambda c: F.roi_average_align_2d(
        c.x(2, 3, 8, 8), *c.rois(), outsize=3, spatial_scale=0.5, sampling_ratio=2),
    'roi_average_pooling_2d': lambda c: F.roi_average_pooling_2d(
        c.x(2, 3, 8, 8), *c.rois(), outsize=3, spatial_scale=0.5),
    'roi_max_align_2d': lambda c: F.roi_max_align_2d(
        c.x(2, 3, 8, 8), *c.rois(), outsize=3, spatial_scale=0.5),
    'roi_max_pooling_2d': lambda c: F.roi_max_pooling_2d(
        c.x(2, 3, 8, 8), *c.rois(), outsize=3, spatial_scale=0.5),
    'roi_pooling_2d': lambda c: F.roi_pooling_2d(
        c.x(2, 3, 8, 8), c.rois(indexed=True), 3, 3, 0.5),
    'spatial_pyramid_pooling_2d': lambda c: F.spatial_pyramid_pooling_2d(
        c.x(2, 3, 6, 6), 3, pooling='max'),
    'unpooling_1d': lambda c: F.unpooling_1d(c.x(2, 3, 3), 2),
    'unpooling_2d': lambda c: F.unpooling_2d(c.x(2, 3, 3, 3), 2, 2, outsize=(6, 6)),
    'unpooling_3d': lambda c: F.unpooling_3d(c.x(1, 2, 2, 2, 2), 2),
    'unpooling_nd': lambda c: F.unpooling_nd(c.x(1, 2, 3, 3), 2),
    'upsampling_2d': lambda c: F.upsampling_2d(
        c.x(1, 2, 2, 2), np.arange(8).reshape(1, 2, 2, 2) % 4, 2, 2, outsize=(4, 4)),
    # functions/util
    'forget': lambda c: F.forget(lambda a, b: a * b + a, c.x(2, 3), c.x(2, 3)),
})
