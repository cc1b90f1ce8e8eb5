"""RunConfig: what it accepts, and that every refusal names the value, the place and the remedy."""
import dataclasses

import numpy as np
import pytest
import yaml

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import RunConfig

KFAC = {'optimizer': 'kfac', 'epochs': 3, 'lr': 0.01}


def written(tmp_path, text):
    path = tmp_path / 'run.yaml'
    path.write_text(text)
    return path


@pytest.mark.parametrize(('fields', 'sentence'), [
    ({'lr': -0.1}, 'lr must be a number > 0, got -0.1'),
    ({'lr': float('nan')}, 'lr must be a number > 0, got nan'),
    ({'lr': float('inf')}, 'lr must be a number > 0, got inf'),
    ({'lr': True}, 'lr must be a number > 0, got True'),
    ({'lr': None}, 'lr must be a number > 0, got None'),
    ({'lr': [0.1]}, r'lr must be a number > 0, got \[0.1\]'),
    ({'weight_decay': -1e-4}, 'weight_decay must be a number >= 0, got -0.0001'),
    ({'momentum': 1}, 'momentum must be a number >= 0 and < 1 or null, got 1'),
    ({'dropout': 1.0}, 'dropout must be a number >= 0 and < 1, got 1.0'),
    ({'damping': 0}, 'damping must be a number > 0 or null, got 0'),
    ({'epochs': 2.0}, 'epochs must be a whole number from 1 to 2147483647, got 2.0'),
    ({'epochs': '3'}, "epochs must be a whole number from 1 to 2147483647, got '3'"),
    ({'epochs': True}, 'epochs must be a whole number from 1 to 2147483647, got True'),
    ({'epochs': 10**400}, 'epochs must be a whole number from 1 to 2147483647'),
    ({'batch_size': 0}, 'batch_size must be a whole number from 1'),
    ({'seed': -1}, 'seed must be a whole number from 0'),
    ({'augment': 'yes'}, "augment must be true or false, got 'yes'"),
    ({'select_on': 'tset'}, "select_on must be one of test, holdout, got 'tset'"),
    ({'ema_weighs': 'both'}, "ema_weighs must be one of new, old or null, got 'both'"),
    ({'fisher': ['mc']}, 'fisher must be one of empirical, mc, exact'),
    ({'device': 'gpu'}, "device must be auto, -1 for the CPU or the number of a GPU, got 'gpu'"),
    ({'device': -2}, 'device must be auto'),
    ({'experiment': '../up'}, 'experiment must be a name of letters'),
    ({'variant': 'a/b'}, 'variant must be a name of letters'),
    ({'dataset': '.hidden'}, 'dataset must be a name of letters'),
    ({'profile': ''}, 'profile must be a name of letters'),
    ({'variant': 'x' * 101}, 'variant must be a name of letters'),
    ({'beta1': 0.9}, 'beta1 belongs to adam and not to optimizer kfac, got 0.9'),
    ({'acc_iters': 3}, 'acc_iters must divide batch_size 128, got 3'),
    ({'lr_decay': 0.5}, 'lr_decay needs lr_decay_epoch, got 0.5 without it'),
    ({'cov_ema_decay': 0}, 'cov_ema_decay must not be 0 with ema_weighs new'),
    ({'cov_ema_decay': 1, 'ema_weighs': 'old'}, 'cov_ema_decay must not be 1 with ema_weighs old'),
])
def test_refuses(fields, sentence):
    with pytest.raises(ConfigError, match='^' + sentence):
        RunConfig(**{**KFAC, **fields})


@pytest.mark.parametrize('optimizer', ['momentum_sgd', 'adam'])
def test_kfac_fields_belong_to_kfac(optimizer):
    sentence = 'damping belongs to kfac and not to optimizer ' + optimizer
    with pytest.raises(ConfigError, match=sentence):
        RunConfig(**{**KFAC, 'optimizer': optimizer, 'damping': 0.01})


def test_fills_in_the_defaults_of_the_optimizer():
    kfac = RunConfig(**KFAC)
    adam = RunConfig(optimizer='adam', epochs=3, lr=0.01)
    assert (kfac.damping, kfac.cov_ema_decay, kfac.ema_weighs) == (0.03, 0.99, 'new')
    assert (kfac.momentum, kfac.beta1) == (0.9, None)
    assert (adam.beta2, adam.momentum, adam.damping) == (0.999, None, None)


def test_stores_plain_python_types():
    config = RunConfig(**{**KFAC, 'lr': np.float32(0.5), 'epochs': np.int64(4), 'weight_decay': 0})
    assert type(config.lr) is float
    assert type(config.epochs) is int
    assert type(config.weight_decay) is float


def test_numbers_that_yaml_leaves_as_text(tmp_path):
    path = written(tmp_path, 'optimizer: kfac\nepochs: 2\nlr: 1e-3\n')
    assert RunConfig.load(path).lr == 1e-3
    assert RunConfig.load(path, ['damping=5e-2']).damping == 0.05


def test_flags_beat_the_file(tmp_path):
    path = written(tmp_path, 'optimizer: kfac\nepochs: 2\nlr: 0.1\nkl_clip: 0.5\n')
    config = RunConfig.load(path, ['lr=0.2', 'kl_clip=null', 'variant=007', 'augment=false',
                                   'device=0', 'lr=0.3'])
    assert (config.lr, config.kl_clip, config.variant) == (0.3, None, '007')
    assert (config.augment, config.device) == (False, 0)


@pytest.mark.parametrize(('text', 'sentence'), [
    ('optimizer: kfac\nepochs: 2\nlr: -1\n', r'lr must be a number > 0, got -1 \(in .*run.yaml\)'),
    ('optimizer: kfac\nepochs: 2\nlearning_rate: 1\n', 'unknown key learning_rate .in .*run.yaml.'),
    ('optimizer: kfac\nepochs: 2\nlr_decay_epochs: 1\n', 'did you mean lr_decay_epoch?'),
    ('optimizer: kfac\nlr: 1\n', 'epochs is missing: it must be a whole number'),
    ('optimizer: kfac\nepochs: 2\nlr: 1\nlr: 2\n', 'not valid YAML: key lr is given twice'),
    ('optimizer: kfac\nepochs: 2\nlr: 1\nseed: 2020-13-45\n', 'not valid YAML: month must be'),
    ('- optimizer\n', 'must hold one mapping of keys to values, got list'),
    ('', 'must hold one mapping of keys to values, got nothing'),
    ('a: [', 'not valid YAML'),
    ('format: 99\noptimizer: kfac\nepochs: 2\nlr: 1\n', 'format must be 1, got 99'),
    ('variant: 1\noptimizer: kfac\nepochs: 2\nlr: 1\n', 'variant must be a name'),
])
def test_refusal_names_the_file(tmp_path, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        RunConfig.load(written(tmp_path, text))


@pytest.mark.parametrize(('flag', 'sentence'), [
    ('lr=-1', r'lr must be a number > 0, got -1 \(in the flag lr=-1\)'),
    ('bach_size=3', r'unknown key bach_size \(in the flag .*\); did you mean batch_size\?'),
    ('batch_size', "'batch_size' is not of the form key=value"),
    ('=3', "'=3' is not of the form key=value"),
    ('lr=[', r"lr must be a number > 0, got '\['"),
    ('seed=2020-13-45', "seed must be a whole number.*got '2020-13-45'"),
])
def test_refusal_names_the_flag(tmp_path, flag, sentence):
    path = written(tmp_path, 'optimizer: kfac\nepochs: 2\nlr: 0.1\n')
    with pytest.raises(ConfigError, match=sentence):
        RunConfig.load(path, [flag])


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match='cannot read .*nowhere.yaml: No such file'):
        RunConfig.load(tmp_path / 'nowhere.yaml')
    with pytest.raises(ConfigError, match='Is a directory'):
        RunConfig.load(tmp_path)
    (tmp_path / 'latin.yaml').write_bytes(b'optimizer: \xe9\n')
    with pytest.raises(ConfigError, match='not valid YAML'):
        RunConfig.load(tmp_path / 'latin.yaml')


def test_dump_is_everything_and_comes_back(tmp_path):
    config = RunConfig(**{**KFAC, 'variant': '1', 'kl_clip': 0.5, 'lr': 1e-05})
    dumped = config.dump()
    assert dumped.pop('format') == 1
    assert set(dumped) == {field.name for field in dataclasses.fields(RunConfig)}
    path = written(tmp_path, yaml.safe_dump(config.dump()))
    assert RunConfig.load(path) == config


def test_digest_tells_configurations_apart():
    config = RunConfig(**KFAC)
    assert config.digest == RunConfig(**KFAC).digest
    for changed in ({'seed': 1}, {'damping': 0.031}, {'variant': 'b'}):
        assert RunConfig(**{**KFAC, **changed}).digest != config.digest
