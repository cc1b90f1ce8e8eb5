"""What `benchmarks/gpu_check.py` is made of.

`environment` gets a bare machine ready, `steps` lists what is done, `process` runs each of it with
a time limit, `record` and `page` write down what came out. The other modules are the steps
themselves; they run in processes of their own (`child`).
"""
