"""The configuration: what a ra-daemon.toml may say. Unknown keys are errors."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ra_daemon.sop_classes import SOP_CLASSES, STORAGE_CLASSES
from ra_daemon.values import AeTitle, Gpu, Host, Networks, OwnTitle, SerialNumber

_DAY_S = 86_400.0
_MILLENNIUM_D = 365_000.0
"""No clock counts back beyond the year 1, and no timer for ever: numbers end well before that."""

LEAST_FREE = 16 * 2**20
"""Bytes; below it neither an image nor the database's own journal is sure of its place."""


class Section(BaseModel):
    """A table of the file: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_meant(cls, value: object, info: ValidationInfo) -> object:
        """``workers = true`` is a mistake; Python would read it as 1. No path has a zero in it."""
        if isinstance(value, bool):
            annotation = cls.model_fields[info.field_name or ""].annotation
            if {annotation, *get_args(annotation)} & {int, float}:
                raise ValueError("must be a number")
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must be text without a character of code 0")
        return value


class Store(Section):
    """Where files and rows live."""

    root: Path = Path("data")
    url: str = Field(default="", description="Database URL; empty: SQLite inside root.")
    url_file: Path | None = Field(
        default=None, description="File that holds the URL, for one with a password."
    )
    reserve_gb: float = Field(
        default=1.0,
        ge=0,
        description="Refuse images below this free space, and below 16 MiB whatever it is.",
    )

    @property
    def least_free(self) -> float:
        """Bytes that must be free to take an image: what is taken must find room for its rows."""
        return max(self.reserve_gb * 2**30, LEAST_FREE)


class Node(Section):
    """Our DICOM node."""

    ae_title: OwnTitle = "RA_DAEMON"
    more_titles: tuple[AeTitle, ...] = Field(
        default=(), description="AE titles that we answer to as well, for routes by called_ae."
    )
    host: Host = "0.0.0.0"
    port: int = Field(default=11112, ge=0, le=65535)
    receivers: int = Field(default=1, ge=1, le=16, description="Receiver processes on one port.")
    max_associations: int = Field(default=64, ge=1, le=1000)
    max_pending: int = Field(
        default=128, ge=1, le=10000, description="Connections that have not said who they are."
    )
    allow_unknown: bool = Field(default=False, description="Take images from any peer.")
    negotiation_timeout_s: float = Field(default=5.0, gt=0, le=_DAY_S)
    network_timeout_s: float = Field(default=60.0, gt=0, le=_DAY_S)
    serial_number: SerialNumber = "ra-daemon-1"

    @property
    def titles(self) -> frozenset[str]:
        """Every AE title that we answer to."""
        return frozenset(title.strip() for title in (self.ae_title, *self.more_titles))


class Tls(Section):
    """TLS (BCP 195) for our port and for peers with ``tls = true``. Paths: PEM files."""

    enabled: bool = Field(default=False, description="Our port takes TLS only.")
    certificate: Path | None = Field(default=None, description="Ours, with its chain.")
    key: Path | None = Field(default=None, description="Of the certificate, without a password.")
    ca: Path | None = Field(
        default=None, description="Who signs our peers' certificates; callers must then show one."
    )
    minimum: Literal["1.2", "1.3"] = "1.2"


class Peer(Section):
    """A DICOM peer: a PACS, a router, a modality."""

    name: str = Field(min_length=1)
    ae_title: AeTitle
    host: Host = "127.0.0.1"
    port: int = Field(default=104, ge=1, le=65535)
    networks: Networks = Field(
        default=(), description="Addresses it may call from; empty: those of host."
    )
    receive: bool = Field(default=True, description="It may send images to us.")
    send: bool = Field(default=True, description="We may send results to it.")
    query: bool = Field(default=True, description="Ask it (C-FIND) before a resend.")
    commitment: bool = Field(
        default=False, description="Ask it to answer for what it took (storage commitment)."
    )
    tls: bool = Field(default=False, description="Call it by TLS, with the files of [tls].")
    tls_name: str = Field(
        default="", description="Name in its certificate; empty: any that the ca signed."
    )
    sr_class: Literal["comprehensive3d", "comprehensive", "enhanced"] = "comprehensive3d"
    allow_demonstration_until: date | None = None

    @property
    def on_this_machine(self) -> bool:
        """Whether its host is a loopback address."""
        with suppress(ValueError):
            return self.host == "localhost" or ip_address(self.host).is_loopback
        return False

    @property
    def takes_demonstrations(self) -> bool:
        """Whether it takes results of a demonstration model: on loopback, or until a day."""
        until = self.allow_demonstration_until
        allowed = until is not None and datetime.now(UTC).date() <= until
        return self.on_this_machine or allowed


class Route(Section):
    """Which images go to which scorers and where the results go."""

    name: str = Field(min_length=1)
    calling_ae: str = "*"
    calling_networks: Networks = Field(
        default=(), description="Addresses that the image came from; empty: any."
    )
    called_ae: str = "*"
    sop_classes: tuple[str, ...] = Field(
        default=(), description="CR, DX, SC or UIDs; empty: any, the gate decides."
    )
    description: str = Field(default="*", description="Pattern on the study description.")
    body_parts: tuple[str, ...] = Field(default=(), description="Empty: any; the gate decides.")
    min_age: float = Field(
        default=18, ge=0, description="Years; a younger patient is refused as under_age."
    )
    max_age: float | None = Field(
        default=None, ge=0, description="Completed years; older patients are for the next route."
    )
    for_processing: bool = False
    secondary_capture: bool = False
    scorers: tuple[str, ...] = Field(default=("svdh", "severity", "gradcam"), min_length=1)
    lane: Literal["stat", "normal", "off-hours"] = "normal"
    destinations: tuple[str, ...] = ()
    deliver: Literal["send", "hold", "database-only"] = "send"
    refusals: bool = Field(default=False, description="Send a visible report of a refusal.")

    @field_validator("sop_classes")
    @classmethod
    def _are_taken(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = {*SOP_CLASSES, *STORAGE_CLASSES}
        for name in value:
            if name not in known:
                raise ValueError(
                    f"must be {', '.join(SOP_CLASSES)} or the UID of a class that the node takes, "
                    f"not {name!r}"
                )
        return value

    @property
    def sop_class_uids(self) -> frozenset[str]:
        """UIDs of ``sop_classes``; empty: any."""
        return frozenset(uid for name in self.sop_classes for uid in SOP_CLASSES.get(name, (name,)))


class Gate(Section):
    """What tags may say against scoring an image: whole words, case ignored, in series
    description, protocol name, image comments and body part."""

    cast_words: tuple[str, ...] = (
        *("cast", "plaster", "splint", "orthosis"),
        *("gips", "gipsverband", "schiene", "plâtre", "platre", "attelle"),
        *("yeso", "férula", "ferula", "gesso", "tala", "tutore"),
    )
    prosthesis_words: tuple[str, ...] = (
        *("prosthesis", "arthroplasty", "arthrodesis", "implant", "implants", "osteosynthesis"),
        *("orif", "internal fixation", "k-wire", "k-wires", "metalwork"),
        *("prothese", "prothèse", "prótesis", "protesis", "protesi", "prótese"),
        *("endoprothese", "arthrodese", "osteosynthese", "ostéosynthèse", "kirschner"),
    )
    unless_words: tuple[str, ...] = Field(
        default=(
            *("out of cast", "out of plaster", "cast removed", "after cast removal", "no cast"),
            *("without cast", "post cast", "ohne gips", "nach gips", "sans plâtre", "no implant"),
        ),
        description="Phrases that take the sting out of a word.",
    )


class Scoring(Section):
    """How jobs are worked."""

    bundle: str = "demo"
    shadow: str = Field(
        default="", description="A second bundle that scores beside the first; never sent."
    )
    locator: str = "locator"
    workers: int = Field(default=1, ge=1, le=64, description="Scorer processes.")
    threads: int = Field(
        default=0, ge=0, le=1024, description="Threads a scorer process; 0: all cores."
    )
    batch: int = Field(default=4, ge=1, le=64)
    wait_ms: float = Field(
        default=20.0,
        ge=0,
        le=1000,
        description="An idle scorer waits so long for its batch to fill; a stat job never waits.",
    )
    decoder: Literal["imagecodecs", "nvimgcodec"] = Field(
        default="imagecodecs",
        description="nvimgcodec: lossless JPEG 2000 on the GPU of [engine] device, where it can.",
    )
    decode_threads: int = Field(
        default=2, ge=0, le=16, description="Threads that decode ahead of the engine; 0: none."
    )
    decode_ahead: int = Field(
        default=4, ge=1, le=64, description="Decoded images that wait for the engine, at most."
    )
    lease_s: float = Field(default=60.0, gt=1, le=_DAY_S)
    time_limit_s: float = Field(
        default=60.0, gt=0, le=_DAY_S, description="Wall time for one image."
    )
    memory_limit_mb: int = Field(default=4096, ge=256, le=2**24)
    max_attempts: int = Field(default=3, ge=1, le=1000)
    plugins: tuple[str, ...] = Field(default=(), description="Allowed plugins; empty: all.")


class Engine(Section):
    """Which runtime computes the scores. Chosen once at start, in this order, and logged."""

    backends: tuple[str, ...] = Field(
        default=("onnxruntime",),
        min_length=1,
        description="Tried in order; name or name:precision. onnxruntime:fp32 always stands last.",
    )
    precision: Literal["fp32", "fp16", "bf16", "int8"] = Field(
        default="fp32", description="Of backends that state none."
    )
    device: Gpu = Field(default="cuda:0", description="GPU of the backends that need one.")
    devices: tuple[Gpu, ...] = Field(
        default=(),
        description="Several GPUs in place of device: scorer k takes the k-th, and round again.",
    )
    device_memory_mib: int | None = Field(
        default=None, ge=256, description="Bound of the engine's GPU memory; unset: what is free."
    )
    allow_cpu: bool = Field(
        default=False,
        description="A CPU engine may follow where a GPU engine is named and cannot be had.",
    )

    @model_validator(mode="before")
    @classmethod
    def _first_of_devices(cls, values: object) -> object:
        """``device`` is the first of ``devices`` where these are given."""
        if not isinstance(values, dict) or not values.get("devices"):
            return values
        if "device" in values:
            raise ValueError("devices: takes the place of device; remove one of the two")
        return {**values, "device": values["devices"][0]}

    def device_of(self, index: int) -> str:
        """The GPU of scorer process ``index``, which counts from 0."""
        return self.devices[index % len(self.devices)] if self.devices else self.device

    @field_validator("backends")
    @classmethod
    def _known_precision(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            precision = entry.partition(":")[2]
            if precision not in ("", "fp32", "fp16", "bf16", "int8"):
                raise ValueError(f"must have fp32, fp16, bf16 or int8 after the colon of {entry!r}")
        return value


class Delivering(Section):
    """How results leave."""

    first_retry_s: float = Field(default=2.0, gt=0, le=30 * _DAY_S)
    max_retry_s: float = Field(default=900.0, gt=0, le=30 * _DAY_S)
    timeout_s: float = Field(default=30.0, gt=0, le=_DAY_S)
    composers: int = Field(
        default=0, ge=0, le=16, description="Processes that write reports; 0: half the cores, 1-4."
    )
    compose_limit_s: float = Field(
        default=120.0, gt=0, le=_DAY_S, description="Wall time for one report."
    )
    commitment_timeout_s: float = Field(
        default=3600.0,
        gt=0,
        le=365 * _DAY_S,
        description="Ask again when a peer is silent for so long.",
    )
    commitment_attempts: int = Field(
        default=5, ge=1, le=1000, description="Then an object without commitment is parked."
    )


class Schedule(Section):
    """Windows, timers and housekeeping."""

    off_hours: str = "20:00-06:00 UTC"
    starvation_h: float = Field(
        default=48.0,
        gt=0,
        le=24 * _MILLENNIUM_D,
        description="Off-hours jobs older than this run.",
    )
    quiet_s: float = Field(default=60.0, ge=0, le=_DAY_S, description="Silence that ends a study.")
    retain_pixels_days: float | None = Field(default=None, ge=0, le=_MILLENNIUM_D)
    reconcile_s: float = Field(default=300.0, ge=0.1, le=_DAY_S)


class Web(Section):
    """Health, metrics and pages."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: int = Field(default=8042, ge=0, le=65535)
    allow_remote: bool = Field(
        default=False,
        description="Serve beyond this machine. The pages ask for no password: guard the network.",
    )


class Log(Section):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Config(Section):
    """A whole configuration. ``path`` is the file it came from; paths in it are relative to it."""

    store: Store = Store()
    node: Node = Node()
    tls: Tls = Tls()
    peer: tuple[Peer, ...] = ()
    route: tuple[Route, ...] = ()
    gate: Gate = Gate()
    scoring: Scoring = Scoring()
    engine: Engine = Engine()
    delivery: Delivering = Delivering()
    schedule: Schedule = Schedule()
    web: Web = Web()
    log: Log = Log()

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.store.root

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.store.url or f"sqlite:///{self.store.root / 'ra-daemon.db'}"

    def of_scorer(self, index: int) -> Config:
        """What scorer process ``index`` is started with: this, with its own GPU as ``device``."""
        device = {"device": self.engine.device_of(index)}
        return self.model_copy(update={"engine": self.engine.model_copy(update=device)})

    def peer_named(self, name: str) -> Peer | None:
        """The peer of that name, or None."""
        return next((p for p in self.peer if p.name == name), None)
