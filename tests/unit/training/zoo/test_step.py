"""What one step does: half precision, clipping, the average of the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("torchvision", reason="install ra-daemon[train]")

from ra_training.zoo.config import resolve  # noqa: E402
from ra_training.zoo.trainer import Trainer  # noqa: E402
from ra_training.zoo.world import World  # noqa: E402

LABELS = torch.tensor([0.0, 20.0, 40.0, 90.0])


def trainer(optimiser: dict[str, Any] | None = None, **settings: Any) -> Trainer:
    """Of a small network, before its first of ten steps."""
    table = {"architecture": "resnet18", "seed": 1, "amp": False, "optimiser": optimiser or {}}
    alone = World(rank=0, ranks=1, device=torch.device("cpu"))
    return Trainer(resolve({**table, **settings}), LABELS, alone, 10)


def step(made: Trainer, number: int) -> Any:
    """Loss and gradient norm of a step on four images of noise."""
    pixels = np.random.default_rng(number).integers(0, 255, (4, 64, 64), np.uint8)
    return made.step(number, torch.from_numpy(pixels), LABELS, torch.zeros(4))


@pytest.mark.parametrize(("amp", "kind"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_backbone_computes_in_half_precision_and_the_head_does_not(
    amp: bool, kind: torch.dtype
) -> None:
    made = trainer(amp=amp)
    member = made.parts.member
    seen: dict[str, torch.dtype] = {}
    for name, part in (("backbone", member.backbone), ("head", member.head.out)):
        part.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out.dtype}))
    loss, _ = step(made, 0)
    assert seen == {"backbone": kind, "head": torch.float32}
    assert loss.dtype == torch.float32
    assert {p.dtype for p in member.parameters()} == {torch.float32}


def test_a_clipped_gradient_moves_the_weights_by_no_more_than_the_clip() -> None:
    made = trainer({"clip": 1e-3, "peak": 1.0, "warmup": 0.0})
    member = made.parts.member
    plain = torch.optim.SGD([{"params": list(member.parameters()), "factor": 1.0}], lr=1.0)
    made.parts = replace(made.parts, optimiser=plain)
    before = [p.detach().clone() for p in member.parameters()]
    _, norm = step(made, 0)
    moved = [a.detach() - b for a, b in zip(member.parameters(), before, strict=True)]
    assert float(norm) > 0.1, "the norm before it is clipped"
    assert float(torch.cat([m.ravel() for m in moved]).norm()) == pytest.approx(1e-3, rel=1e-2)


def test_the_average_follows_the_weights_as_stated() -> None:
    made = trainer({"ema": 0.28})
    member = made.parts.member
    names = ("head.out.weight", "backbone.net.bn1.running_mean")
    by_hand = {k: member.state_dict()[k].double().numpy().copy() for k in names}
    for n, decay in enumerate((2 / 11, 3 / 12, 0.28, 0.28)):  # (1 + n) / (10 + n), up to 0.28
        step(made, n)
        for k in names:
            by_hand[k] = decay * by_hand[k] + (1 - decay) * member.state_dict()[k].double().numpy()
    found = made.averaged().state_dict()
    for k in names:
        np.testing.assert_allclose(found[k].numpy(), by_hand[k], rtol=1e-5, atol=1e-7)
        assert not np.allclose(member.state_dict()[k].numpy(), by_hand[k], rtol=1e-4)
    assert int(found["backbone.net.bn1.num_batches_tracked"]) == 4


def test_without_an_average_the_last_weights_are_kept() -> None:
    made = trainer({"ema": 0.0})
    step(made, 0)
    found, last = made.averaged().state_dict(), made.parts.member.state_dict()
    assert all(torch.equal(found[k], last[k]) for k in last)
