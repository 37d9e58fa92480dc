"""Mean grey value of an image: a scorer that needs no model."""

from ra_engine.types import Measurement, ModelRef

MODEL = ModelRef(bundle="ra-scorer-mean", version="1.0", digest="", engine="numpy",
                 precision="fp32", preprocessing="", intended_use="research")  # fmt: skip


class MeanScorer:
    name, api_version, needs = "mean", 1, {}

    def score(self, batch, outputs):
        return [[self.mean(image.radiograph.pixels)] for image in batch.images]

    def mean(self, pixels):
        return Measurement(kind="mean_grey", label="Mean grey value", value=float(pixels.mean()),
                           units="1", code=("mean", "99MEAN", "Mean"), model=MODEL)  # fmt: skip
