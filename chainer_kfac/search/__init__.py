"""Search for hyperparameters: hyperopt's TPE, a MongoDB between one driver and many workers.

``chainer-kfac search`` is the driver, ``chainer-kfac worker`` a worker; docs/search.md is the
page for their users and describes the documents in the database. The modules, from the bottom:

- `address`, `connection`, `store`: which server, the way to it, and its collections;
- `space`, `documents`, `objectives`: what is searched, how a trial is written down, what is run;
- `lease`: who holds a trial, and how it changes hands when its holder dies;
- `worker` and its parts, `driver` and its parts, `server` (the one that starts by itself);
- `mongo_trials`: hyperopt's own ``MongoTrials`` on PyMongo 4.
"""
