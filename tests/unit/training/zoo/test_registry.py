"""Architectures and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
torchvision = pytest.importorskip("torchvision", reason="install ra-daemon[train]")

from safetensors.torch import save_file  # noqa: E402

from ra_training.errors import TrainingError  # noqa: E402
from ra_training.zoo.registry import REGISTRY, backbone  # noqa: E402


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_activations_have_the_stated_shape(name: str) -> None:
    made = backbone(name).eval()
    with torch.no_grad():
        a = made(torch.zeros(2, 1, 96, 64))
    assert a.shape == (2, made.channels, 3, 2)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_torchvision_file_gives_the_same_activations_on_grey(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    colour = getattr(torchvision.models, name)(weights=None).eval()
    save_file(colour.state_dict(), tmp_path / "w.safetensors")
    made = backbone(name, tmp_path / "w.safetensors").eval()
    grey = torch.randn(1, 1, 64, 64)
    seen = []
    last = colour.layer4 if name.startswith("resnet") else colour.features
    last.register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.no_grad():
        colour(grey.expand(1, 3, 64, 64))
        ours = made(grey)
    theirs = torch.relu(seen[0]) if name == "densenet121" else seen[0]
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_plain_pth_is_read_and_pickled_objects_are_refused(tmp_path: Path) -> None:
    state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    backbone("resnet18", tmp_path / "plain.pth")
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "objects.pth")
    with pytest.raises(TrainingError, match="never unpickled") as caught:
        backbone("resnet18", tmp_path / "objects.pth")
    assert caught.value.code == "weights-unreadable"


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save_file(
        torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "other.safetensors"
    )
    with pytest.raises(TrainingError, match="do not fit resnet18"):
        backbone("resnet18", tmp_path / "other.safetensors")
    with pytest.raises(TrainingError, match="no weight file"):
        backbone("resnet18", tmp_path / "none.safetensors")


def test_an_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="mobilenet_v2"):
        backbone("resnet19")


def test_nothing_is_downloaded_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", refuse)
    for name in REGISTRY:
        backbone(name)
    with pytest.raises(AssertionError, match="a download was tried"):
        backbone("resnet18", "download")


def test_torchvisions_weights_are_downloaded_once_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = torchvision.models.resnet18(weights=None).state_dict()
    asked: list[str] = []

    def deliver(weights: Any, *_args: object, **_kwargs: object) -> dict[str, Any]:
        asked.append(weights.url)
        return dict(state)

    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", deliver)
    made = backbone("resnet18", "download")
    assert asked == [torchvision.models.ResNet18_Weights.DEFAULT.url]
    own = made.net.state_dict()
    assert torch.equal(own["conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(own["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
