"""A scorer that brings the model it needs, under a role of its own."""

from pathlib import Path

from ra_engine.types import Measurement


def folder():
    return Path(__file__).with_name("own_bundle")


class OwnScorer:
    name, api_version, needs = "own", 1, {"own_role": ["score"]}

    def score(self, batch, outputs):
        output = outputs["own_role"]
        found = [[] for _ in batch.images]
        for value, (image, view) in zip(output.arrays["score"], batch.rows, strict=True):
            found[image].append(
                Measurement(kind="own_score", label="Own score", value=float(value), units="1",
                            code=("own", "99OWN", "Own score"), model=output.model, view=view)
            )  # fmt: skip
        return found
