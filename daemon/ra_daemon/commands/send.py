"""ra-daemon send: files, or a generated test object, to a peer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ra_daemon.commands.common import (
    RegularFile,
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    peer_named,
)
from ra_daemon.errors import PeerError


@click.command("send")
@click.argument("peer")
@click.argument("paths", nargs=-1, type=RegularFile())
@click.option("--test", "test_object", is_flag=True, help="Send a small generated image.")
@config_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    peer: str,
    paths: tuple[Path, ...],
    config_path: Path | None,
    *,
    test_object: bool,
    as_json: bool,
) -> None:
    """Send files to PEER as they are; exit status 4 when one is not taken, 2 when no file."""
    if bool(paths) == test_object:
        raise click.UsageError("Name files, or give --test.")
    config = load(config_path)
    found = peer_named(config, peer)
    from ra_daemon.dicom import scu

    with tempfile.TemporaryDirectory() as folder:
        chosen = list(paths) or [_test_object(Path(folder) / "test.dcm")]
        answers = list(scu.store_files(config, found, chosen))
    rows = [(path.name, f"0x{status:04X}", _taken(status)) for path, status in answers]
    if as_json:
        emit_json([dict(zip(("file", "status", "taken"), row, strict=True)) for row in rows])
    else:
        emit_table(("file", "status", "taken"), rows)
    if not all(taken for _, _, taken in rows):
        ctx.exit(PeerError.exit_status)


def _taken(status: int) -> bool:
    """Success or warning (PS3.4 B.2.3)."""
    return status == 0 or 0xB000 <= status <= 0xBFFF


def _test_object(path: Path) -> Path:
    """A Secondary Capture of a grey wedge that names itself a test."""
    from datetime import UTC, datetime

    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    now = datetime.now(UTC)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid(None)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(None), generate_uid(None)
    ds.PatientName, ds.PatientID = "Test^ra-daemon", "RA-DAEMON-TEST"
    ds.PatientBirthDate = ds.PatientSex = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "TEST", 1, 1
    ds.StudyDate = ds.ContentDate = now.strftime("%Y%m%d")
    ds.StudyTime = ds.ContentTime = now.strftime("%H%M%S")
    ds.StudyDescription = "ra-daemon connection test"
    ds.Modality, ds.ConversionType, ds.ImageType = "OT", "SYN", ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ""
    wedge = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    ds.Rows, ds.Columns = wedge.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = wedge.tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path
