"""The cells of Table 1 are the paper's, and a file of cells cannot be misread."""
import csv
import io

import pytest
import yaml

from chainer_kfac import resources
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.sweeps import cells, plan

# The paper's Table 1 as printed; Adam's alpha and alpha-decay under lr and lr_decay.
PRINTED = """\
optimizer,batch_size,val_acc,weight_decay,lr,lr_decay,lr_decay_epoch,momentum,beta1,beta2,eta,eps,cov_ema_decay,damping
momentum_sgd,128,0.853837,9.45528E-4,7.02133E-3,0.380818,70,0.851752,,,,,,
momentum_sgd,512,0.849977,8.59781E-4,1.22424E-2,0.317370,60,0.865659,,,,,,
momentum_sgd,2048,0.834328,7.13765E-4,1.13121E-2,0.689114,50,0.945714,,,,,,
adam,128,0.818829,0,1.33886E-3,0.397648,60,,0.872596,0.999,1.0,1.0E-8,,
adam,512,0.819347,0,1.22052E-3,0.261723,100,,0.874545,0.999,1.0,1.0E-8,,
adam,2048,0.795179,0,1.26235E-3,0.183551,100,,0.869701,0.999,1.0,1.0E-8,,
kfac,128,0.741891,5.0E-5,0.001,0.5,20,0.9,,,,,0.99,0.001
kfac,512,0.713202,8.32268E-4,9.42950E-3,0.446998,60,0.641641,,,,,0.876205,3.76662E-3
kfac,2048,0.649841,5.0E-5,0.005,0.5,20,0.9,,,,,0.99,0.001
"""


def test_every_number_is_the_papers():
    printed = list(csv.DictReader(io.StringIO(PRINTED)))
    loaded = cells.load(resources.find('experiments/table1.yaml'))
    assert len(loaded) == len(printed) == 9
    for cell, row in zip(loaded, printed, strict=True):
        ours = {**cell.settings, 'val_acc': cell.val_acc}
        assert ours.pop('experiment') == 'table1'
        assert ours.pop('model') == 'lenet5'
        assert ours.pop('optimizer') == row.pop('optimizer')
        assert ours == {key: float(value) for key, value in row.items() if value}


def test_paper_gives_complete_configurations():
    for cell, config in plan.paper():
        assert config['epochs'] == 200
        assert config['dataset'] == 'cifar10'
        assert config['train_size'] is None
        assert config['lr_decay_epoch'] == cell.settings['lr_decay_epoch']


@pytest.mark.parametrize(('content', 'says'), [
    ({'format': 2, 'cells': []}, 'format 2'),
    ({'format': 1}, 'list of cells'),
    ({'format': 1, 'cells': [1]}, 'list of cells'),
    ({'format': 1, 'cells': [{'optimizer': 'adam', 'batch_size': 1, 'learning_rate': 2}]},
     'learning_rate'),
    ({'format': 1, 'cells': [{'optimizer': 'adam'}]}, 'batch_size'),
    ({'format': 1, 'cells': [{'optimizer': 'adam', 'batch_size': '512'}]},
     "batch_size must be .*, got '512'"),
    ({'format': 1, 'cells': [{'optimizer': 'adam', 'batch_size': 1, 'lr_decay_epoch': '2e1'}]},
     "lr_decay_epoch must be .*, got '2e1'"),
    ({'format': 1, 'cells': [{'optimizer': 'adam', 'batch_size': 1}] * 2}, 'twice'),
])
def test_bad_file_is_refused_by_name(tmp_path, content, says):
    path = tmp_path / 'cells.yaml'
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=says) as caught:
        cells.load(path)
    assert str(path) in str(caught.value)
