"""tests/golden/vptq/0_up.pt: a Hessian as VPTQ's collector saves it, three columns wide.

    python vptq_hessian.py
"""
import pathlib

import torch

out = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/golden/vptq/0_up.pt"
out.parent.mkdir(parents=True, exist_ok=True)
torch.save({"flatH": torch.tensor([2, 0.5, 3, -0.25, 0.75, 1]), "mu": torch.tensor([0.5, -1, 2]), "n": 3, "ct": 4096}, out)
