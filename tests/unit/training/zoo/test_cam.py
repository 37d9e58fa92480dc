"""Maps in the graph agree with pytorch-grad-cam, and graphs with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("torchvision", reason="install ra-daemon[train]")
grad_cam = pytest.importorskip("pytorch_grad_cam", reason="install ra-daemon[train]")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript", reason="install ra-daemon[train]")

from ra_training.phantom import render_exposure, sample_grades  # noqa: E402
from ra_training.zoo.cam import METHODS, score_and_weights  # noqa: E402
from ra_training.zoo.export import Ensemble, Explained, export_graph  # noqa: E402
from ra_training.zoo.heads import HEADS, head  # noqa: E402
from ra_training.zoo.registry import REGISTRY, Backbone, backbone  # noqa: E402
from tests.support.zoo_graphs import SMALL, small  # noqa: E402

SIZE = (96, 64)
VALUES = [0.0, 3.0, 12.0, 40.0]
ORACLES = {
    "gradcam": grad_cam.GradCAM,
    "hirescam": grad_cam.HiResCAM,
    "layercam": grad_cam.LayerCAM,
}


def images() -> tuple[Any, Any]:
    """Six generated hands and their scores."""
    pixels, scores = [], []
    for seed in range(6):
        grades = sample_grades(seed, prior="flat")
        shot = render_exposure(seed, grades, hands="right", height=SIZE[0]).display()
        pixels.append(shot[:, : SIZE[1]])
        scores.append(grades.right.total)
    x = torch.tensor(np.stack(pixels))[:, None]
    return (x - 0.4) / 0.25, torch.tensor(scores, dtype=torch.float32)


def trained(name: str, kind: str) -> tuple[Backbone, Any]:
    """A few steps of training, so that maps are not flat."""
    torch.manual_seed(0)
    body = small() if name == SMALL else backbone(name)
    top = head(kind, body.channels, VALUES)
    optimiser = torch.optim.Adam([*body.parameters(), *top.parameters()], 1e-3)
    x, y = images()
    for _ in range(4):
        score, _ = top(body(x))
        optimiser.zero_grad()
        torch.nn.functional.smooth_l1_loss(score, y).backward()
        optimiser.step()
    return body.eval(), top.eval()


class Whole(torch.nn.Module):  # type: ignore[misc]
    """What pytorch-grad-cam wants: one module, a layer to hook, (b, 1) outputs."""

    def __init__(self, body: Backbone, top: Any) -> None:
        super().__init__()
        self.body, self.top, self.last = body, top, torch.nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.top(self.last(self.body(x)))[0][:, None]


def oracle(body: Backbone, top: Any, x: Any, method: str) -> Any:
    """Raw maps (b, h, w) of pytorch-grad-cam, before it clips and scales them."""
    whole = Whole(body, top).requires_grad_(True)
    cam = ORACLES[method](whole, [whole.last])
    outputs = cam.activations_and_grads(x)
    outputs[:, 0].sum().backward()
    activations = cam.activations_and_grads.activations[0].numpy()
    gradients = cam.activations_and_grads.gradients[0].numpy()
    raw = cam.get_cam_image(x, whole.last, None, activations, gradients, eigen_smooth=False)
    cam.activations_and_grads.release()
    return raw


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_raw_maps_agree_with_pytorch_grad_cam(name: str, kind: str) -> None:
    body, top = trained(name, kind)
    x, _ = images()
    theirs = {m: oracle(body, top, x, m) for m in METHODS}
    for method in METHODS:
        with torch.no_grad():
            _, _, ours = Explained(body, top, method)(x)
        largest = np.abs(theirs[method]).max((1, 2), keepdims=True)
        assert largest.max() > 0
        # map by map; where both are nothing, they agree
        assert (np.abs(ours.numpy() - theirs[method]) <= 1e-3 * largest).all()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(n, k, marks=[] if k == "mlp" or n == "resnet18" else pytest.mark.nightly)
        for n in sorted(REGISTRY)
        for k in HEADS
    ],
)
def test_graphs_agree_with_torch(name: str, kind: str, tmp_path: Path) -> None:
    body, top = trained(name, kind)
    path = export_graph([(body, top)], [1.0], tmp_path / "graph.onnx", size=SIZE)
    x, _ = images()
    with torch.no_grad():
        members, score, logits, cam = Ensemble([Explained(body, top)], [1.0])(x)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for part in (x, x[:1]):
        names = [o.name for o in session.get_outputs()]
        found = dict(zip(names, session.run(None, {"x": part.numpy()}), strict=True))
        n = len(part)
        assert np.abs(found["score"] - score[:n].numpy()).max() < 1e-4
        assert np.abs(found["members"] - members[:n].numpy()).max() < 1e-4
        assert np.abs(found["cam"] - cam[:n].numpy()).max() <= 1e-3 * float(cam.abs().max())
        if kind in ("coral", "corn", "bins"):
            assert np.abs(found["class_logits"] - logits[:n].numpy()).max() < 1e-3
        else:
            assert "class_logits" not in found


def test_a_linear_head_adds_up_to_its_score() -> None:
    body, top = trained("resnet18", "linear")
    x, _ = images()
    with torch.no_grad():
        score, _, cam = Explained(body, top)(x)
    assert torch.allclose(cam.sum((1, 2)) + top.out.bias, score, atol=1e-3)


def test_flip_averaging_is_blind_to_the_side() -> None:
    members = [Explained(*trained(n, "mlp")) for n in ("resnet18", "mobilenet_v2")]
    x, _ = images()
    both = Ensemble(members, [0.6, 0.4], flip=True)
    with torch.no_grad():
        one, other = both(x), both(x.flip(3))
        plain = Ensemble(members, [0.6, 0.4])(x)
    assert torch.allclose(one[1], other[1], atol=1e-4)
    assert torch.allclose(one[3], other[3].flip(2), atol=1e-4)
    assert not torch.allclose(one[1], plain[1], atol=1e-4)


@pytest.mark.parametrize("method", ["hirescam", "layercam"])
def test_flip_averaging_in_the_graph(method: Any, tmp_path: Path) -> None:
    members = [trained(SMALL, k) for k in ("coral", "linear")]
    path = export_graph(
        members, [0.7, 0.3], tmp_path / "g.onnx", size=SIZE, offset=2.0, cam=method, flip=True
    )
    x, _ = images()
    plain = Ensemble([Explained(b, h, method) for b, h in members], [0.7, 0.3], 2.0)
    with torch.no_grad():
        one, other = plain(x), plain(x.flip(3))
    means = [(a + b) / 2 for a, b in zip(one, (*other[:3], other[3].flip(2)), strict=True)]
    assert all(not torch.allclose(a, b) for a, b in zip(one[:2], other[:2], strict=True))
    assert float(one[3].abs().max()) > 0
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(["members", "score", "class_logits", "cam"], {"x": x.numpy()})
    for ours, theirs in zip(found, means, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_stacking_weights_and_offset() -> None:
    members = [Explained(*trained(n, "linear")) for n in ("resnet18", "mobilenet_v2")]
    x, _ = images()
    with torch.no_grad():
        found, score, _, cam = Ensemble(members, [0.5, 0.25], 3.0)(x)
        maps = [m(x)[2] for m in members]
    assert torch.allclose(score, found @ torch.tensor([0.5, 0.25]) + 3.0, atol=1e-4)
    assert torch.allclose(cam, 0.5 * maps[0] + 0.25 * maps[1], atol=1e-4)
    with pytest.raises(ValueError, match="2 members, 1 weights"):
        Ensemble(members, [1.0])


def test_a_head_that_still_learns_is_refused() -> None:
    with pytest.raises(ValueError, match="freeze the head"):
        score_and_weights(head("linear", 4), 4)
