"""Trials and experiments as they stand in the database, and what is checked before use.

A worker trusts nothing that it reads: names are looked up here, values must be plain, finite and
inside the space of their experiment. docs/search.md lists the keys.
"""
import dataclasses
import datetime
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import chainer_kfac
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.search import objectives
from chainer_kfac.search.errors import RefusedTrial, SearchError
from chainer_kfac.search.pruning import RULES
from chainer_kfac.search.space import LARGEST, Space

FORMAT = 1
NEW, RUNNING, DONE, ERROR = range(4)
"""hyperopt's states of a trial."""
REGISTERED = 'registered'
"""First word of ``misc.cmd``: the trial names an objective, and carries no code."""

_EXP_KEY = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,99}')
_WORD = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}|')
_KEY = re.compile(r'[a-z][a-z0-9_]{0,63}')


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One search.

    Attributes:
        exp_key (str): its name.
        uid (str): tells it from another of the same name that was deleted.
        objective (str): name of what is minimised.
        settings (mapping): plain values that all trials share.
        space (Space): what varies.
        search (mapping): options of the search; they change no trial's meaning.
        version (str): of this package, at the start.
        data (str or None): digest of the images, once the first worker has loaded them.
    """

    exp_key: str
    uid: str
    objective: str
    settings: Mapping[str, Any]
    space: Space
    search: Mapping[str, Any]
    version: str = chainer_kfac.__version__
    data: str | None = None

    @property
    def digest(self) -> str:
        """Protocol of the trials: equal only where equal values give comparable losses."""
        return digest({'version': self.version, 'objective': self.objective,
                       'protocol': objectives.find(self.objective).protocol,
                       'settings': dict(self.settings), 'space': self.space.document()})

    def document(self) -> dict[str, Any]:
        """What is stored."""
        return {'_id': self.exp_key, 'format': FORMAT, 'uid': self.uid, 'version': self.version,
                'objective': self.objective, 'settings': dict(self.settings),
                'space': self.space.document(), 'search': dict(self.search), 'data': self.data,
                'digest': self.digest}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> 'Experiment':
        """Check a stored experiment.

        Raises:
            RefusedTrial: if anything in it is not what `document` writes.
        """
        exp_key = check_exp_key(document.get('_id'))
        place = 'experiment {}'.format(exp_key)
        if document.get('format') != FORMAT:
            raise RefusedTrial('{} has format {!r:.60}, this chainer_kfac reads {}'.format(
                place, document.get('format'), FORMAT))
        settings, search = document.get('settings'), document.get('search')
        for key, part in (('settings', settings), ('search', search)):
            if not isinstance(part, Mapping) or len(part) > 64:
                raise RefusedTrial('{}: {} must be a mapping'.format(place, key))
            for name, value in part.items():
                check_plain(name, value, place)
        for key in ('uid', 'version', 'objective'):
            if not isinstance(document.get(key), str) or not _WORD.fullmatch(document[key]):
                raise RefusedTrial('{}: {} must be a word, got {!r:.60}'.format(
                    place, key, document.get(key)))
        _check_search(search, place)
        data = document.get('data')
        if data is not None and not (isinstance(data, str) and _WORD.fullmatch(data)):
            raise RefusedTrial('{}: data must be a digest, got {!r:.60}'.format(place, data))
        try:
            objective = objectives.find(document['objective'])
            experiment = cls(exp_key, document['uid'], document['objective'], dict(settings),
                             Space.from_document(document.get('space')), dict(search),
                             document['version'], data)
            objective.check_settings(experiment.settings)
        except ConfigError as error:
            raise RefusedTrial('{}: {}'.format(place, error)) from None
        return experiment

    def check_version(self) -> None:
        """Refuse to mix the code of two versions in one search; raises SearchError."""
        if self.version != chainer_kfac.__version__:
            raise SearchError(
                'experiment {} was started by chainer_kfac {} and this is {}: their losses may '
                'not be comparable, so install that version here, or start another --exp-key'
                .format(self.exp_key, self.version, chainer_kfac.__version__))

    def new_trial(self, tid: int, raw: Mapping[str, float], origin: str) -> dict[str, Any]:
        """A trial that waits for a worker.

        Args:
            tid (int): its number in this experiment.
            raw (mapping): a number for each hyperparameter, as hyperopt draws it.
            origin (str): where the point comes from.
        """
        misc = {'tid': tid, 'cmd': [REGISTERED, self.objective, self.digest], 'workdir': None,
                'idxs': {name: [tid] for name in self.space.names},
                'vals': {name: [float(raw[name])] for name in self.space.names}}
        return {'exp_key': self.exp_key, 'tid': tid, 'state': NEW, 'kind': REGISTERED,
                'origin': origin, 'misc': misc, 'spec': None, 'result': {'status': 'new'},
                'owner': None, 'book_time': None, 'refresh_time': None, 'end_time': None,
                'version': 0, 'attempt': 0, 'beats': 0, 'setbacks': 0, 'history': [], 'curve': [],
                'last': None}

    def values(self, trial: Mapping[str, Any]) -> dict[str, float | int]:
        """The hyperparameters of a stored trial, checked.

        Raises:
            RefusedTrial: if the trial does not belong to this experiment or holds anything but
                one number inside the bounds for each hyperparameter.
        """
        place = 'trial {!r:.20} of {}'.format(trial.get('tid'), self.exp_key)
        misc = trial.get('misc')
        vals = misc.get('vals') if isinstance(misc, Mapping) else None
        if not isinstance(vals, Mapping):
            raise RefusedTrial('{}: misc.vals must be a mapping'.format(place))
        if misc.get('cmd') != [REGISTERED, self.objective, self.digest]:
            raise RefusedTrial('{}: misc.cmd must name objective {} and protocol {}, got {!r:.100}'
                               .format(place, self.objective, self.digest, misc.get('cmd')))
        if not all(isinstance(each, list) and len(each) == 1 for each in vals.values()):
            raise RefusedTrial('{}: misc.vals must hold one value each'.format(place))
        raw = {name: each[0] for name, each in vals.items()}
        complaint = self.space.complaint(raw)
        if complaint is not None:
            raise RefusedTrial('{}: {}'.format(place, complaint))
        values = self.space.values(raw)
        try:
            objectives.find(self.objective).check_values(values, self.settings)
        except ConfigError as error:
            raise RefusedTrial('{}: {}'.format(place, error)) from None
        return values


    def is_sound(self, trial: Mapping[str, Any]) -> bool:
        """Whether a document has the shape of a trial of this experiment.

        What is read for proposals and reports is checked by this, so that a foreign or damaged
        document is left out instead of ending the driver.
        """
        try:
            self.values(trial)
        except RefusedTrial:
            return False
        result, last = trial.get('result'), trial.get('last') or {}
        counters = [trial.get(key, 0) for key in ('tid', 'attempt', 'setbacks')]
        if not all(type(each) is int and each >= 0 for each in counters):
            return False
        if trial.get('state') not in (NEW, RUNNING, DONE, ERROR):
            return False
        for part, keys in ((result, ('epochs', 'seconds')), (last, ('epoch', 'loss'))):
            if not isinstance(part, Mapping) or not all(
                    part.get(key) is None or _is_number(part[key]) for key in keys):
                return False
        if result.get('status') == 'ok' and not _is_number(result.get('loss')):
            return False
        return (_are_mappings(trial.get('curve')) and _are_mappings(trial.get('history'))
                and all(_has_times(each, 'start', 'end') for each in trial.get('history') or ())
                and _has_times(trial, 'book_time', 'refresh_time', 'end_time'))


def check_exp_key(name: Any) -> str:
    """A name that can be a folder; raises RefusedTrial."""
    if not isinstance(name, str) or not _EXP_KEY.fullmatch(name):
        raise RefusedTrial('an experiment is named by letters, digits, ".", "_" and "-", beginning '
                           'with a letter or digit, got {!r:.100}'.format(name))
    return name


def check_plain(name: Any, value: Any, place: str) -> None:
    """Refuse what is not a short word, a sane number, a bool or None; raises RefusedTrial."""
    if not isinstance(name, str) or not _KEY.fullmatch(name):
        raise RefusedTrial('{}: {!r:.60} is no name of a setting'.format(place, name))
    if value is None or isinstance(value, bool):
        return
    if _is_number(value) and abs(value) <= LARGEST:
        return
    if isinstance(value, str) and _WORD.fullmatch(value):
        return
    raise RefusedTrial('{}: {} must be a number, a word, true, false or null, got {!r:.60}'.format(
        place, name, value))


def _check_search(search, place):
    """What a worker needs of the options of a search."""
    for key, lowest in (('trials', 1), ('setbacks', 0)):
        if type(search.get(key)) is not int or search[key] < lowest:
            raise RefusedTrial('{}: {} must be a whole number from {}, got {!r:.60}'.format(
                place, key, lowest, search.get(key)))
    if not _is_number(search.get('lease')) or search['lease'] <= 0:
        raise RefusedTrial('{}: lease must be a number of seconds, got {!r:.60}'.format(
            place, search.get('lease')))
    if search.get('prune') not in RULES:
        raise RefusedTrial('{}: prune must be one of {}, got {!r:.60}'.format(
            place, ', '.join(RULES), search.get('prune')))


def _are_mappings(part):
    return part is None or isinstance(part, list) and all(
        isinstance(each, Mapping) for each in part)


def _has_times(part, *keys):
    return all(part.get(key) is None or isinstance(part[key], datetime.datetime) for key in keys)


def _is_number(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def digest(content: Any) -> str:
    """Sixteen hexadecimal digits for plain data."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
