"""Exactly the right parameters move."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("torchvision", reason="install ra-daemon[train]")

from ra_training.errors import TrainingError  # noqa: E402
from ra_training.zoo.config import resolve  # noqa: E402
from ra_training.zoo.heads import head  # noqa: E402
from ra_training.zoo.registry import REGISTRY, backbone  # noqa: E402
from ra_training.zoo.schemes import freeze, moving  # noqa: E402
from ra_training.zoo.trainer import Trainer  # noqa: E402
from ra_training.zoo.world import World  # noqa: E402


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_groups_cover_all_but_the_stem(name: str) -> None:
    made = backbone(name)
    groups = made.architecture.groups
    names = {n for n, _ in made.net.named_parameters()}
    rest = names - set(moving(f"RBs-{len(groups)}", made))
    assert rest
    stem = made.architecture.stem
    assert any(n.startswith(stem) for n in rest)
    assert len(rest) <= 9
    sizes = [len(moving(f"RBs-{k}", made)) for k in range(1, len(groups) + 1)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("scheme", "phase", "prefixes"),
    [
        ("head", 0, ()),
        ("RBs-1", 0, ("layer4",)),
        ("RBs-2", 0, ("layer4", "layer3")),
        ("two-phase", 0, ()),
        ("two-phase", 1, ("",)),
        ("finetuned", 0, ("",)),
        ("scratch", 0, ("",)),
    ],
)
def test_a_step_moves_what_the_scheme_says(
    scheme: str, phase: int, prefixes: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    body = backbone("resnet18")
    top = head("linear", body.channels)
    body.train()
    freeze(body, scheme, phase)
    before = {k: v.clone() for k, v in body.net.state_dict().items()}
    parameters = [p for p in (*body.parameters(), *top.parameters()) if p.requires_grad]
    optimiser = torch.optim.SGD(parameters, 0.1)
    score, _ = top(body(torch.randn(4, 1, 64, 64)))
    (score - 3).square().mean().backward()
    optimiser.step()
    moved = {k for k, v in body.net.state_dict().items() if not torch.equal(v, before[k])}
    for key in before:
        if key.endswith("num_batches_tracked"):
            continue
        assert (key in moved) == key.startswith(prefixes) if prefixes else key not in moved


LAST = {
    "resnet18": ("layer4.",),
    "resnet34": ("layer4.",),
    "resnet50": ("layer4.",),
    "mobilenet_v2": ("features.17.", "features.18."),
    "densenet121": ("features.denseblock4.", "features.norm5."),
    "efficientnet_b0": ("features.7.", "features.8."),
}


@pytest.mark.parametrize("scheme", ["head", "RBs-1", "finetuned"])
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_training_step_of_every_family_moves_just_that(name: str, scheme: str) -> None:
    """Through the loop's own step: weights, and the statistics beside them."""
    config = resolve(
        {"architecture": name, "scheme": scheme, "amp": False, "batch": 4, "epochs": 1,
         "optimiser": {"ema": 0, "weight_decay": 0}}
    )  # fmt: skip
    labels = torch.tensor([3.0, 60.0, 9.0, 12.0])
    trainer = Trainer(config, labels, World(rank=0, ranks=1, device=torch.device("cpu")), 1)
    before = {k: v.clone() for k, v in trainer.parts.member.state_dict().items()}
    pixels = torch.randint(0, 255, (4, 64, 64), dtype=torch.uint8)
    trainer.step(0, pixels, labels, torch.zeros(4))
    after = trainer.parts.member.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    prefixes = {
        "head": (),
        "RBs-1": tuple(f"backbone.net.{p}" for p in LAST[name]),
        "finetuned": ("backbone.",),
    }[scheme]
    assert moved == {k for k in before if k.startswith(("head.", *prefixes))}


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(TrainingError, match="k from 1 to 4"):
        moving("RBs-9", backbone("resnet18"))
    with pytest.raises(TrainingError, match="no scheme"):
        moving("last", backbone("resnet18"))


def test_what_is_frozen_drops_nothing() -> None:
    """Stochastic depth of a frozen stage would shake features that no gradient can follow."""
    body = backbone("efficientnet_b0")
    x = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    body.train()
    assert not torch.equal(body(x), body(x))
    freeze(body, "head")
    assert torch.equal(body(x), body(x))
