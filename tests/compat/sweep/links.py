"""Every link of Chainer: built, called, differentiated, saved, loaded and called again."""
import os
import tempfile

import chainer
import chainer.links as L
import numpy as np
from chainer import serializers
from chainer.links.model.vision import googlenet, resnet

NOT_RUN = {
    'TheanoFunction': 'needs Theano, which is no longer developed',
    'ResNet101Layers': 'ResNet50Layers with more blocks',
    'ResNet152Layers': 'ResNet50Layers with more blocks',
    'VGG16Layers': 'Convolution2D, Linear and max pooling, in half a gigabyte of parameters',
    'VGG19Layers': 'Convolution2D, Linear and max pooling, in half a gigabyte of parameters',
}
"""Links that the sweep leaves out, and why."""


def outcome(make, *inputs, **kwargs):
    """Output, gradients and state of a link, and the output of a copy that was saved and loaded.

    Args:
        make (callable): returns the link; the initial weights come from NumPy's global generator.
        *inputs: what the link is called with.
        call (callable): ``call(link, *inputs)`` in place of ``link(*inputs)``.
        reload (bool): whether a second link is filled from the first one's file and called.
    """
    call = kwargs.pop('call', lambda link, *args: link(*args))
    reload = kwargs.pop('reload', True)
    assert not kwargs
    link = make()
    y = call(link, *inputs)
    link.cleargrads()
    _backward(y)
    state = {'grad' + name: param.grad for name, param in link.namedparams()}
    state.update(('data' + name, param.array) for name, param in link.namedparams())
    _collect_persistents(link, '', state)
    result = [y, state]
    if reload:
        copy = make()
        call(copy, *inputs)                   # shapes that depend on the input are fixed now
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'link.npz')
            serializers.save_npz(path, link)
            serializers.load_npz(path, copy)
        for name, param in link.namedparams():
            np.testing.assert_array_equal(dict(copy.namedparams())[name].array, param.array)
        with chainer.using_config('train', False):
            result.append(call(copy, *inputs))
    return result


def _backward(y):
    outputs = [v for v in _flat(y) if isinstance(v, chainer.Variable) and v.requires_grad]
    for output in outputs:
        output.grad = (1 + np.arange(output.size) % 3).reshape(output.shape).astype(output.dtype)
    chainer.backward(outputs)


def _flat(value):
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, (tuple, list)):
        return [item for element in value for item in _flat(element)]
    return [value]


def _collect_persistents(link, prefix, state):
    for name in getattr(link, '_persistent', ()):
        value = getattr(link, name)
        if not callable(value) and value is not None and not isinstance(value, str):
            state['persistent' + prefix + '/' + name] = value
    for child in (link.children() if isinstance(link, (chainer.Chain, chainer.ChainList)) else ()):
        _collect_persistents(child, prefix + '/' + str(child.name), state)


def twice(link, x):
    """A stateful link, called for two steps."""
    return [link(x), link(x)]


CASES = {
    'BatchNormalization': lambda c: outcome(lambda: L.BatchNormalization(3), c.x(4, 3)),
    'BatchNormalization@4d': lambda c: outcome(
        lambda: L.BatchNormalization(axis=(0, 2, 3), decay=0.5), c.x(4, 3, 2, 2), call=twice),
    'BatchRenormalization': lambda c: outcome(
        lambda: L.BatchRenormalization(3, rmax=3.0, dmax=5.0), c.x(4, 3)),
    'Bias': lambda c: outcome(lambda: L.Bias(1, (3,)), c.x(2, 3)),
    'Bilinear': lambda c: outcome(lambda: L.Bilinear(3, 4, 5), c.x(2, 3), c.x(2, 4)),
    'BinaryHierarchicalSoftmax': lambda c: outcome(
        lambda: L.BinaryHierarchicalSoftmax(
            3, L.BinaryHierarchicalSoftmax.create_huffman_tree({0: 1, 1: 2, 2: 3, 3: 4})),
        c.x(4, 3), c.i(4, 4)),
    'BlackOut': lambda c: outcome(lambda: L.BlackOut(3, [1, 2, 3, 4], 2), c.x(2, 3), c.i(4, 2)),
    'CRF1d': lambda c: outcome(lambda: L.CRF1d(3), [c.x(2, 3), c.x(1, 3)], [c.i(3, 2), c.i(3, 1)]),
    'CRF1d@argmax': lambda c: outcome(lambda: L.CRF1d(3), [c.x(2, 3), c.x(1, 3)],
                                      call=lambda link, xs: link.argmax(xs)),
    'ChildSumTreeLSTM': lambda c: outcome(
        lambda: L.ChildSumTreeLSTM(3, 4), c.x(2, 4), c.x(2, 4), c.x(2, 4), c.x(2, 4), c.x(2, 3)),
    'Classifier': lambda c: outcome(lambda: L.Classifier(L.Linear(3, 4)), c.x(5, 3), c.i(4, 5)),
    'Convolution1D': lambda c: outcome(lambda: L.Convolution1D(3, 4, 3), c.x(2, 3, 5)),
    'Convolution2D': lambda c: outcome(
        lambda: L.Convolution2D(None, 4, 3, stride=2, pad=1), c.x(2, 3, 5, 5)),
    'Convolution2D@groups': lambda c: outcome(
        lambda: L.Convolution2D(4, 6, (3, 2), dilate=2, groups=2, nobias=True), c.x(2, 4, 6, 6)),
    'Convolution3D': lambda c: outcome(lambda: L.Convolution3D(2, 3, 2), c.x(1, 2, 3, 3, 3)),
    'ConvolutionND': lambda c: outcome(lambda: L.ConvolutionND(2, 3, 4, 3), c.x(2, 3, 5, 5)),
    'Deconvolution1D': lambda c: outcome(lambda: L.Deconvolution1D(3, 4, 3), c.x(2, 3, 4)),
    'Deconvolution2D': lambda c: outcome(
        lambda: L.Deconvolution2D(None, 4, 3, stride=2), c.x(2, 3, 4, 4)),
    'Deconvolution3D': lambda c: outcome(lambda: L.Deconvolution3D(2, 3, 2), c.x(1, 2, 3, 3, 3)),
    'DeconvolutionND': lambda c: outcome(lambda: L.DeconvolutionND(2, 3, 4, 3), c.x(2, 3, 4, 4)),
    'DecorrelatedBatchNormalization': lambda c: outcome(
        lambda: L.DecorrelatedBatchNormalization(4, 2, dtype=c.dtype), c.x(8, 4)),
    'DeformableConvolution2D': lambda c: outcome(
        lambda: L.DeformableConvolution2D(2, 3, 3), c.x(1, 2, 5, 5)),
    'DepthwiseConvolution2D': lambda c: outcome(
        lambda: L.DepthwiseConvolution2D(3, 2, 3), c.x(2, 3, 5, 5)),
    'DilatedConvolution2D': lambda c: outcome(
        lambda: L.DilatedConvolution2D(None, 4, 3, dilate=2), c.x(2, 3, 7, 7)),
    'EmbedID': lambda c: outcome(lambda: L.EmbedID(5, 3, ignore_label=-1), np.array([1, -1], 'i')),
    'GRU': lambda c: outcome(lambda: L.GRU(3, 4), c.x(2, 3), call=twice),
    'GoogLeNet': lambda c: googlenet_outcome(c),
    'GroupNormalization': lambda c: outcome(lambda: L.GroupNormalization(2), c.x(2, 4, 3, 3)),
    'Highway': lambda c: outcome(lambda: L.Highway(3), c.x(2, 3)),
    'Inception': lambda c: outcome(lambda: L.Inception(3, 2, 2, 2, 2, 2, 2), c.x(1, 3, 5, 5)),
    'InceptionBN': lambda c: outcome(
        lambda: L.InceptionBN(3, 2, 2, 2, 2, 2, 'avg', 2), c.x(2, 3, 5, 5)),
    'LSTM': lambda c: outcome(lambda: L.LSTM(3, 4), c.x(2, 3), call=twice),
    'LayerNormalization': lambda c: outcome(lambda: L.LayerNormalization(), c.x(2, 3)),
    'Linear': lambda c: outcome(lambda: L.Linear(None, 4), c.x(2, 3)),
    'Linear@nobias': lambda c: outcome(lambda: L.Linear(5, 4, nobias=True), c.x(2, 3, 5),
                                       call=lambda link, x: link(x, n_batch_axes=2)),
    'LocalConvolution2D': lambda c: outcome(
        lambda: L.LocalConvolution2D(3, 4, (5, 5), 3), c.x(2, 3, 5, 5)),
    'MLPConvolution2D': lambda c: outcome(
        lambda: L.MLPConvolution2D(3, (4, 5), 3), c.x(2, 3, 5, 5)),
    'Maxout': lambda c: outcome(lambda: L.Maxout(3, 4, 2), c.x(2, 3)),
    'NStepBiGRU': lambda c: n_step(L.NStepBiGRU, c),
    'NStepBiLSTM': lambda c: n_step(L.NStepBiLSTM, c, cell=True),
    'NStepBiRNNReLU': lambda c: n_step(L.NStepBiRNNReLU, c),
    'NStepBiRNNTanh': lambda c: n_step(L.NStepBiRNNTanh, c),
    'NStepGRU': lambda c: n_step(L.NStepGRU, c),
    'NStepLSTM': lambda c: n_step(L.NStepLSTM, c, cell=True),
    'NStepRNNReLU': lambda c: n_step(L.NStepRNNReLU, c),
    'NStepRNNTanh': lambda c: n_step(L.NStepRNNTanh, c),
    'NaryTreeLSTM': lambda c: outcome(
        lambda: L.NaryTreeLSTM(3, 4), c.x(2, 4), c.x(2, 4), c.x(2, 4), c.x(2, 4), c.x(2, 3)),
    'NegativeSampling': lambda c: outcome(
        lambda: L.NegativeSampling(3, [1, 2, 3, 4], 2), c.x(2, 3), c.i(4, 2)),
    'PReLU': lambda c: outcome(lambda: L.PReLU(), c.x(2, 3)),
    'Parameter': lambda c: outcome(lambda: L.Parameter(np.ones((2, 3), c.dtype)),
                                   call=lambda link: link() * 2),
    'ResNet50Layers': lambda c: resnet_outcome(c),
    'Scale': lambda c: outcome(lambda: L.Scale(1, (3,), bias_term=True), c.x(2, 3)),
    'SimplifiedDropconnect': lambda c: outcome(lambda: L.SimplifiedDropconnect(3, 4), c.x(2, 3)),
    'StatefulGRU': lambda c: outcome(lambda: L.StatefulGRU(3, 4), c.x(2, 3), call=twice),
    'StatefulMGU': lambda c: outcome(lambda: L.StatefulMGU(3, 4), c.x(2, 3), call=twice),
    'StatefulPeepholeLSTM': lambda c: outcome(
        lambda: L.StatefulPeepholeLSTM(3, 4), c.x(2, 3), call=twice),
    'StatefulZoneoutLSTM': lambda c: outcome(
        lambda: L.StatefulZoneoutLSTM(3, 4), c.x(2, 3), call=twice),
    'StatelessGRU': lambda c: outcome(lambda: L.StatelessGRU(3, 4), c.x(2, 4), c.x(2, 3)),
    'StatelessLSTM': lambda c: outcome(
        lambda: L.StatelessLSTM(3, 4), c.x(2, 4), c.x(2, 4), c.x(2, 3)),
    'StatelessMGU': lambda c: outcome(lambda: L.StatelessMGU(3, 4), c.x(2, 4), c.x(2, 3)),
    'Swish': lambda c: outcome(lambda: L.Swish((3,)), c.x(2, 3)),
}


def n_step(link_class, c, cell=False):
    """An n-step link on two sequences; the LSTMs have a cell state too."""
    sequences = [c.x(3, 4), c.x(2, 4)]
    states = (None, None) if cell else (None,)
    return outcome(lambda: link_class(1, 4, 3, 0.0), *(states + (sequences,)))


def googlenet_outcome(c):
    """Loss of one image, after its preparation by Pillow."""
    image = googlenet.prepare(_image())[None].astype(c.dtype)
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        return L.GoogLeNet(pretrained_model=None)(image, layers=['pool5', 'prob'])


def resnet_outcome(c):
    """Features of one image, after its preparation by Pillow."""
    image = resnet.prepare(_image(), size=None)[None, :, ::4, ::4].astype(c.dtype)
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        return L.ResNet50Layers(pretrained_model=None)(image, layers=['pool5'])


def _image():
    ramp = np.arange(224, dtype=np.uint8)
    return np.stack([np.tile(ramp, (224, 1)), np.tile(ramp[:, None], (1, 224)),
                     np.full((224, 224), 99, np.uint8)], axis=2)
