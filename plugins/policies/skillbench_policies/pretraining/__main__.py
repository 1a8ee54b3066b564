"""`python -m skillbench_policies.pretraining WORLD --out DIR`; see train.py."""

from .train import main

raise SystemExit(main())
