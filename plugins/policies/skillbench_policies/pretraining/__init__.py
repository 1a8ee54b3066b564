"""Embedded models are made here: a small causal language model from demonstrations of one world.

`python -m skillbench_policies.pretraining WORLD --out DIR` trains one (train.py), and
`python -m skillbench_policies.pretraining.gates WORLD DIR` measures it (gates.py). worlds.py says
what a world is.
"""

from .worlds import Demo, World, encode, load_world

__all__ = ["Demo", "World", "encode", "load_world"]
