"""tests/golden/vptq/*.pt: a Hessian of three columns as VPTQ's collector saves it, in torch's zip file and in the
layout before it, and the factor of its inverse as VPTQ's tool saves that.

    python make_vptq_hessian.py [OUT]
"""
import pathlib
import sys

import torch

root = pathlib.Path(__file__).resolve().parent.parent.parent
out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "tests/golden/vptq")
out.mkdir(parents=True, exist_ok=True)
mean = torch.tensor([0.5, -1, 2])
saved = {"flatH": torch.tensor([2, 0.5, 3, -0.25, 0.75, 1]), "mu": mean, "n": 3, "ct": 4096}
torch.save(saved, out / "0_up.pt")
torch.save(saved, out / "0_up_plain.pt", _use_new_zipfile_serialization=False)

# The regularized second moment, columns by descending diagonal, damped once more; U of its inverse Uᵀ U.
h = torch.zeros(3, 3, dtype=torch.float64)
h[tuple(torch.tril_indices(3, 3))] = saved["flatH"].double()
h = h + h.tril(-1).T + torch.outer(mean, mean)
h = h / h.diag().mean() + 0.01 * torch.eye(3)
perm = torch.argsort(h.diag(), descending=True)
h = h[perm][:, perm]
h = h + 0.01 * h.diag().mean() * torch.eye(3)
u = torch.linalg.cholesky(torch.linalg.inv(h), upper=True)
torch.save({"invH": u.float(), "perm": perm, "zero_idx": torch.zeros(3, dtype=torch.bool)}, out / "0_up_inverse.pt")
