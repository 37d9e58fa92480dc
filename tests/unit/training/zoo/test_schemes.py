"""Exactly the right parameters move."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("torchvision", reason="install ra-daemon[train]")

from ra_training.errors import TrainingError  # noqa: E402
from ra_training.zoo.heads import head  # noqa: E402
from ra_training.zoo.registry import REGISTRY, backbone  # noqa: E402
from ra_training.zoo.schemes import freeze, moving  # noqa: E402


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


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(TrainingError, match="k from 1 to 4"):
        moving("RBs-9", backbone("resnet18"))
    with pytest.raises(TrainingError, match="no scheme"):
        moving("last", backbone("resnet18"))
