"""The heatmap image: the plain radiograph beside model attention, one fixed scale for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from ra_daemon.dicom import codes, read
from ra_daemon.dicom.common import MANUFACTURER, MODEL, code_item, finish, interval_words
from ra_daemon.dicom.reference import DEMONSTRATION, NOT_DIAGNOSTIC, STAMP, reference
from ra_daemon.dicom.report_input import ReportInput
from ra_daemon.dicom.uids import derive_uid
from ra_daemon.domain import Refused, Scored
from ra_daemon.errors import ComposeError
from ra_engine.types import Affine, Category, Heatmap, Measurement, QualityFlag, Radiograph, Side
from ra_engine.views import KNUCKLE, WRIST, invert, quarter_turn

SERIES_NUMBER = 9002
HEIGHT = 900
_HEAD, _FOOT, _BAR = 96, 44, 70
_INK, _WARN, _RIM = (235, 235, 235), (255, 214, 64), (0, 0, 0)
_SMALLEST = 9  # letters of a picture, in pixels
Picture = NDArray[np.uint8]


def compose_capture(given: ReportInput) -> Dataset:
    """The RGB secondary capture of a scored image.

    Raises:
        ComposeError: there is no score, or its source cannot be shown any more.
    """
    if given.scored is None:
        raise ComposeError("A capture needs a score.")
    source = reference(given.sources[0], told=False)  # its report has told
    decoded = read.decode(given.sources[0])
    if isinstance(decoded, Refused):
        raise ComposeError("The source of the capture cannot be decoded.")
    pixels = draw(decoded, given.scored, demonstration=given.demonstration)
    ds = SCImage.from_ref_dataset(
        source,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=derive_uid("series", "sc", str(source.StudyInstanceUID), given.salt),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derive_uid(*given.uid_parts("capture")),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=("L", "F"),  # only single letters pass; replaced below
        laterality=_letter(given.scored.laterality),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    _describe(ds, source, given)
    return ds


def draw(radiograph: Radiograph, scored: Scored, *, demonstration: bool) -> Picture:
    """(rows, columns, 3) uint8: plain image, overlay, colour bar, words."""
    plain, scale = shown(radiograph)
    maps = [f for f in scored.findings if isinstance(f, Heatmap)]
    overlay = plain.copy()
    evidence = False
    for heatmap in maps:
        evidence |= _lay(overlay, heatmap, _place(heatmap, scored), scale)
    panel = np.concatenate([plain, np.zeros((plain.shape[0], 6, 3), np.uint8), overlay], axis=1)
    canvas = np.zeros(
        (panel.shape[0] + _HEAD + _FOOT, max(panel.shape[1] + _BAR, 640), 3), np.uint8
    )
    canvas[_HEAD : _HEAD + panel.shape[0], : panel.shape[1]] = panel
    full = maps[0].full_scale if maps else 1.0
    threshold = maps[0].threshold if maps else 0.0
    _bar(canvas, panel.shape[1], panel.shape[0], full)
    image = Image.fromarray(canvas)
    _words(image, scored, evidence=evidence, threshold=threshold, demonstration=demonstration)
    _letters(image, scored, scale, plain.shape[1] + 6)
    return np.asarray(image, np.uint8)


def shown(radiograph: Radiograph) -> tuple[Picture, float]:
    """(rows, columns, 3) grey picture, bone bright, and its scale to image pixels."""
    values = radiograph.pixels
    if radiograph.window is not None:
        centre, width = radiograph.window
        low, high = centre - width / 2, centre + width / 2
    else:
        sample = values[::4, ::4]
        if radiograph.mask is not None and not bool(radiograph.mask[::4, ::4].all()):
            sample = sample[~radiograph.mask[::4, ::4]]  # a white frame must not darken the bones
        low, high = (float(v) for v in np.percentile(sample, (0.5, 99.8)))
    scale = min(1.0, HEIGHT / values.shape[0])
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = np.clip((small - low) / max(high - low, 1e-6), 0, 1)
    if radiograph.inverted:
        grey = 1 - grey
    picture = np.rint(grey * 255).astype(np.uint8)
    return np.repeat(picture[:, :, None], 3, axis=2), scale


def _place(heatmap: Heatmap, scored: Scored) -> Affine:
    """Unit square of a map -> pixels of the image.

    Raises:
        ComposeError: the map lies nowhere.
    """
    if heatmap.view is not None:
        return scored.views[heatmap.view].to_image
    if heatmap.to_image is None:
        raise ComposeError("The heatmap does not say where in the image it lies.")
    return heatmap.to_image


def _lay(overlay: Picture, heatmap: Heatmap, to_image: Affine, scale: float) -> bool:
    """Blend positive contributions above the threshold; False when there is no evidence."""
    cam = np.clip(heatmap.cam, 0, None)
    if float(cam.max(initial=0)) < heatmap.threshold:
        return False
    rows, columns = cam.shape
    a, b, c, d, e, f = invert(to_image)
    # picture pixel -> image pixel -> unit view -> map cell
    matrix = np.array(
        [
            [a / scale * columns, b / scale * columns, c * columns - 0.5],
            [d / scale * rows, e / scale * rows, f * rows - 0.5],
        ],
        np.float64,
    )
    size = (overlay.shape[1], overlay.shape[0])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    wide = cv2.warpAffine(cam.astype(np.float32), matrix, size, flags=flags)
    lit = (wide >= heatmap.threshold) & (wide > 0)  # elsewhere the picture stays as it is
    strength = np.clip(wide[lit] / heatmap.full_scale, 0, 1)
    weight = (0.65 * np.clip(strength * 2.5, 0, 1))[:, None]
    overlay[lit] = np.rint(overlay[lit] * (1 - weight) + _colours(strength) * weight)
    return True


def _colours(strength: NDArray[np.float32]) -> Picture:
    """Colour scale of 0..1: readable for the colour-blind, dark to bright."""
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    rgb = table[:, 0, ::-1]
    index = np.rint(strength * 255).astype(np.uint8)
    return np.asarray(rgb[index], np.uint8)


def _bar(canvas: Picture, left: int, height: int, full: float) -> None:
    top, bottom = _HEAD + 30, _HEAD + min(height - 10, 330)
    ramp = np.linspace(1, 0, max(2, bottom - top), dtype=np.float32)[:, None]
    canvas[top:bottom, left + 12 : left + 28] = _colours(np.repeat(ramp, 16, axis=1))
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    font = _font(13)
    pen.text((left + 32, top - 6), f"{full:g}", fill=_INK, font=font)
    pen.text((left + 32, bottom - 10), "0", fill=_INK, font=font)
    pen.text((left + 6, top - 26), "SvdH/cell", fill=_INK, font=_font(11))
    canvas[:] = np.asarray(image)


def _words(
    image: Image.Image, scored: Scored, *, evidence: bool, threshold: float, demonstration: bool
) -> None:
    pen = ImageDraw.Draw(image)
    attention = "Right: model attention, not lesions; one fixed scale for all patients."
    if not evidence:
        attention = f"Right: no evidence above the threshold ({threshold:g}) in the model's map."
    warning = DEMONSTRATION if demonstration else NOT_DIAGNOSTIC
    foot = f"{NOT_DIAGNOSTIC}. {STAMP}. 0 is not 'normal'."
    flags = [f.text for f in scored.findings if isinstance(f, QualityFlag)]
    below = image.height - _FOOT
    for top, size, ink, words in (
        (3, 18, _INK, _title(scored)),
        (24, 15, _INK, interval_line(scored)),
        (41, 14, _INK, _band(scored)),
        (58, 14, _INK, attention),
        (75, 15, _WARN, warning),
        (below + 6, 14, _WARN, foot),
        (below + 24, 12, _INK, "; ".join(flags)),
    ):
        _line(pen, (8, top), words, size, image.width, ink)


def _line(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], words: str, size: int, width: int,
    ink: tuple[int, int, int],
) -> None:  # fmt: skip
    """Write one line, smaller where it is long; what still does not fit ends with a whole word."""
    room = width - 2 * at[0]
    while size > _SMALLEST and pen.textlength(words, font=_font(size)) > room:
        size -= 1
    while pen.textlength(words, font=_font(size)) > room and " " in words:
        words = words.removesuffix(" ...").rpartition(" ")[0] + " ..."
    pen.text(at, words, fill=ink, font=_font(size))


def _best(scored: Scored) -> Measurement | None:
    """The score that the picture tells: the total, else the first one."""
    values = [f for f in scored.findings if isinstance(f, Measurement) and f.kind != "svdh_member"]
    return next((v for v in values if v.kind == "svdh_total"), values[0] if values else None)


def _title(scored: Scored) -> str:
    best = _best(scored)
    if best is None:
        return "No score"
    return f"Estimated damage (SvdH) {best.value:.1f} of {best.scale_max or 0:g}"


def interval_line(scored: Scored) -> str:
    """The limits of the score and what they mean; "" where there are none."""
    best = _best(scored)
    if best is None or best.interval is None:
        return ""
    limits = best.interval
    return f"{limits.low:.1f} to {limits.high:.1f}: {interval_words(limits)}"


def _band(scored: Scored) -> str:
    bands = [f for f in scored.findings if isinstance(f, Category)]
    if not bands:
        return ""
    edges = ", ".join(f"{e:g}" for e in bands[0].edges)
    return f"{bands[0].label} (upper edges {edges}; {bands[0].reference})"


def _letters(image: Image.Image, scored: Scored, scale: float, second: int) -> None:
    """Laterality beside every hand, on both panels; what is only a place says so."""
    names = {
        Side.LEFT: "L", Side.RIGHT: "R",
        Side.IMAGE_LEFT: "image left", Side.IMAGE_RIGHT: "image right",
        Side.UNKNOWN: "side unknown",
    }  # fmt: skip
    pen, font = ImageDraw.Draw(image), _font(16)
    bottom = float(image.height - _FOOT - 24)
    for view in scored.views:
        wrist, knuckle = (scale * view.landmarks[k].astype(float) for k in (WRIST, KNUCKLE))
        x, y = float(wrist[0]) - 34, bottom  # below the wrist, clear of every joint that is scored
        if quarter_turn([view]):  # the image is stored turned: the forearm lies elsewhere
            x, y = (float(v) for v in wrist + 0.5 * (wrist - knuckle))
            x, y = min(x, second - 100), min(max(y + _HEAD - 8, _HEAD), bottom)
        for shift in (0, second):
            at = (max(2.0, x) + shift, y)
            # A rim: often it lies on a bright forearm.
            pen.text(at, names[view.side], fill=_WARN, font=font, stroke_width=2, stroke_fill=_RIM)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same letters on every machine."""
    return ImageFont.load_default(size)


def _letter(side: Side) -> str | None:
    return {Side.LEFT: "L", Side.RIGHT: "R"}.get(side)


def _describe(ds: Dataset, source: Dataset, given: ReportInput) -> None:
    models: Sequence[str] = sorted(
        {
            f"{f.model.bundle} {f.model.version}"
            for f in (given.scored.findings if given.scored else ())
            if isinstance(f, Heatmap)
        }
    )
    ds.PatientOrientation = source.PatientOrientation  # type 2C: empty where it is not stated
    if "Laterality" not in ds:
        ds.Laterality = ""  # type 2C: empty where both hands are shown
    ds.ImageType = ["DERIVED", "SECONDARY", "", "GRADCAM"]
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.SecondaryCaptureDeviceManufacturer = MANUFACTURER
    ds.SecondaryCaptureDeviceManufacturerModelName = MODEL
    ds.SecondaryCaptureDeviceSoftwareVersions = given.software_version
    words = f"{NOT_DIAGNOSTIC}. {DEMONSTRATION}" if given.demonstration else NOT_DIAGNOSTIC
    ds.DerivationDescription = f"Model attention overlay, {', '.join(models)}; {words}"
    overlay = codes.own("RA0501")
    ds.DerivationCodeSequence = [
        code_item(str(overlay.CodeValue), codes.SCHEME, str(overlay.CodeMeaning))
    ]
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    purpose = codes.SOURCE_FOR_PROCESSING
    item.PurposeOfReferenceCodeSequence = [
        code_item(str(purpose.CodeValue), "DCM", str(purpose.CodeMeaning))
    ]
    item.SpatialLocationsPreserved = "NO"  # the picture shows the image twice, at another scale
    ds.SourceImageSequence = [item]
    ds.BodyPartExamined = "HAND"
    ds.LossyImageCompression = "00"
    if source.get("RequestAttributesSequence"):
        ds.RequestAttributesSequence = source.RequestAttributesSequence
    stamp = f"DEMONSTRATION, {NOT_DIAGNOSTIC}" if given.demonstration else NOT_DIAGNOSTIC
    finish(ds, source, given, f"ra-daemon attention map ({stamp})")
