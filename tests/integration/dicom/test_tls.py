"""TLS with DCMTK on the other side: who may come in, what is too weak, and our own calls."""

from __future__ import annotations

import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ra_daemon.config import Config, Node, Peer, Store, Tls
from ra_daemon.dicom import scu
from ra_daemon.dicom.tls import server_context
from ra_daemon.errors import ConfigError, PeerError
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tally import REFUSED, totals
from tests.support import dicom_sources
from tests.support.certificates import authority, certificate
from tests.support.peers import require_tool
from tests.support.processes import free_port, listening, running, wait_until
from tests.support.receiver import raw, receiving, site
from tests.support.site import uids

pytestmark = pytest.mark.peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Certificates of our node, of a peer, and of somebody whom another authority signed."""

    ca: Path
    node: tuple[Path, Path]
    peer: tuple[Path, Path]
    stranger: tuple[Path, Path]

    def tls(self, **changes: object) -> Tls:
        """The node's [tls] table."""
        own = {"enabled": True, "certificate": self.node[0], "key": self.node[1], "ca": self.ca}
        return Tls.model_validate({**own, **changes})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    ca, other = authority(folder), authority(folder, "other")
    return Keys(
        ca=ca,
        node=certificate(folder, "node", ca),
        peer=certificate(folder, "peer", ca),
        stranger=certificate(folder, "stranger", other),
    )


@pytest.fixture
def config(tmp_path: Path, keys: Keys) -> Iterator[Config]:
    made = site(tmp_path / "store", tls=keys.tls())
    with receiving(made):
        yield made


def call(config: Config, keys: Keys, who: tuple[Path, Path] | None, *words: object) -> int:
    """A DCMTK program against the receiver; its exit code."""
    tool, *rest = words
    secure = [] if who is None else ["+tls", who[1], who[0], "+cf", keys.ca, *rest[1:]]
    files = rest[:1]
    titles = ["-to", "5", "-ta", "5", "-aet", "PACS", "-aec", config.node.ae_title]
    line = [require_tool(str(tool), "dcmtk"), *titles, *secure, "127.0.0.1", config.node.port]
    done = subprocess.run(
        [str(w) for w in [*line, *(f for f in files if f)]],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode


def test_dcmtk_speaks_tls_with_us(config: Config, keys: Keys, tmp_path: Path) -> None:
    assert call(config, keys, keys.peer, "echoscu") == 0
    source = dicom_sources.clean(tmp_path / "a.dcm")
    assert call(config, keys, keys.peer, "storescu", source) == 0
    assert uids(ObjectStore(config.root).inbox_files()) == uids([source])


def test_who_shows_no_good_certificate_stays_out(config: Config, keys: Keys) -> None:
    assert call(config, keys, keys.peer, "echoscu") == 0
    before = totals(config.root, REFUSED).get("tls_handshake", 0)
    assert call(config, keys, None, "echoscu") != 0  # plain TCP
    assert call(config, keys, keys.stranger, "echoscu") != 0
    assert call(config, keys, keys.peer, "echoscu") == 0
    assert totals(config.root, REFUSED) == {"tls_handshake": before + 2}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_refused(config: Config, keys: Keys) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(keys.ca)
    context.load_cert_chain(*keys.peer)
    with raw(config) as link, context.wrap_socket(link) as secure:
        assert secure.version() == "TLSv1.3"
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with raw(config) as link, pytest.raises(OSError):  # noqa: PT011 - alert or reset
        context.wrap_socket(link)
    context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:AES256-SHA256")  # no forward secrecy
    with raw(config) as link, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(link)


def test_silent_peers_do_not_stop_the_handshakes_of_others(config: Config, keys: Keys) -> None:
    silent = [raw(config) for _ in range(20)]
    started = time.monotonic()
    assert call(config, keys, keys.peer, "echoscu") == 0
    assert time.monotonic() - started < 2
    for link in silent:
        link.close()


def client(keys: Keys, port: int, **peer: object) -> tuple[Config, Peer]:
    made = Peer.model_validate(
        {"name": "pacs", "ae_title": "STORESCP", "port": port, "tls": True, **peer}
    )
    return Config(store=Store(), node=Node(), tls=keys.tls(enabled=False), peer=(made,)), made


def test_we_call_peers_by_tls(keys: Keys, tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "kept"
    folder.mkdir()
    program = require_tool("storescp", "dcmtk")
    secure = ["+tls", keys.peer[1], keys.peer[0], "+cf", keys.ca]
    with running([program, *secure, "-od", folder, str(port)], tmp_path / "scp.log"):
        wait_until(lambda: listening(port), 10)
        config, peer = client(keys, port)
        scu.echo(config, peer)
        source = dicom_sources.clean(tmp_path / "a.dcm")
        assert [s for _, s in scu.store_files(config, peer, [source])] == [0]
        assert uids(folder.iterdir()) == uids([source])

        config, peer = client(keys, port, tls_name="peer")
        scu.echo(config, peer)
        config, peer = client(keys, port, tls_name="somebody-else")
        with pytest.raises(PeerError):
            scu.echo(config, peer)
        config, peer = client(keys, port, tls=False)
        with pytest.raises(PeerError):
            scu.echo(config, peer)


def test_we_trust_only_our_authority(keys: Keys, tmp_path: Path) -> None:
    port = free_port()
    program = require_tool("storescp", "dcmtk")
    secure = ["+tls", keys.stranger[1], keys.stranger[0], "-ic"]
    with running([program, *secure, "-od", tmp_path, str(port)], tmp_path / "scp.log"):
        wait_until(lambda: listening(port), 10)
        config, peer = client(keys, port)
        with pytest.raises(PeerError):
            scu.echo(config, peer)


def test_files_that_cannot_be_used_are_told(keys: Keys, tmp_path: Path) -> None:
    broken, folder = tmp_path / "broken.pem", tmp_path
    broken.write_text("no certificate")
    locked = tmp_path / "locked.key"
    change = [
        "openssl",
        "rsa",
        "-aes256",
        "-passout",
        "pass:x",
        "-in",
        keys.node[1],
        "-out",
        locked,
    ]
    subprocess.run([str(word) for word in change], check=True, capture_output=True)
    no_certificate, no_key = "holds no certificate in PEM form", "holds no private key in PEM form"
    for name, path, what in (
        ("certificate", broken, no_certificate),
        ("certificate", keys.node[1], no_certificate),
        ("certificate", folder, "is no file"),
        ("key", broken, no_key),
        ("key", keys.node[0], no_key),
        ("key", locked, "or one with a password"),
        ("key", keys.peer[1], f"does not belong to the certificate {keys.node[0]}"),
        ("key", tmp_path / "none.key", "is not there"),
        ("ca", broken, no_certificate),
        ("ca", tmp_path / "none.pem", "is not there"),
    ):
        with pytest.raises(ConfigError, match=re.escape(f"[tls] {name} = {path}: ")) as told:
            server_context(keys.tls(**{name: path}))
        assert what in str(told.value)
    assert server_context(keys.tls(enabled=False)) is None
