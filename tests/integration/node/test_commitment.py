"""Storage commitment: a real Orthanc answers for what it keeps, and owns up to what it lost."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tests.integration.node.orthanc import Orthanc, orthanc
from tests.support.processes import command, free_port, run_node, wait_until
from tests.support.site import Peer, column, phantoms, send, send_to, settled, write_site

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("node")]


def port_of(site: Path) -> int:
    import tomllib

    return int(tomllib.loads((site / "ra-daemon.toml").read_text())["node"]["port"])


def commit(site: Path, name: str, *, rule: str = "") -> None:
    """Let the node ask this peer for commitment."""
    path = site / "ra-daemon.toml"
    text = path.read_text().replace(f'name = "{name}"\n', f'name = "{name}"\ncommitment = true\n')
    path.write_text(text.replace("[delivery]\n", f"[delivery]\n{rule}"))


def states(site: Path) -> dict[str, int]:
    found = column(site, "SELECT state FROM v1_deliveries")
    return {state: found.count(state) for state in set(found)}


def status(site: Path) -> dict[str, Any]:
    words = [*command("ra-daemon"), "status", "--json", "--config", site / "ra-daemon.toml"]
    done = subprocess.run([str(w) for w in words], check=True, capture_output=True, timeout=60)
    return dict(json.loads(done.stdout))


def delete(pacs: Orthanc, uid: str) -> None:
    (found,) = pacs.instances(SOPInstanceUID=uid)
    url = f"http://127.0.0.1:{pacs.http_port}/instances/{found['ID']}"
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30):
        pass


def test_orthanc_commits_and_what_it_lost_is_sent_again(tmp_path: Path) -> None:
    files = phantoms(tmp_path / "in", 2, 67)
    site = tmp_path / "site"
    # The archive sends no images here: it is a destination that may call back, nothing more.
    write_site(site, [])
    with orthanc(tmp_path / "orthanc", port_of(site)) as pacs:
        send_to(site, "orthanc", f"{pacs.peer.toml()}receive = false\n")
        with run_node(site) as node:
            send(node.port, files)
            wait_until(lambda: settled(site, len(files)), 90, every=0.3)
            assert states(site) == {"sent": 4}
            assert node.stop() == 0
        made = column(site, "SELECT sop_instance_uid FROM v1_deliveries")
        assert pacs.uids() == set(made)
        delete(pacs, made[0])
        commit(site, "orthanc")
        with run_node(site) as node:
            wait_until(lambda: states(site) == {"committed": 4}, 60, every=0.3)
            assert node.stop() == 0
            log = node.text()
        assert pacs.uids() == set(made)  # the lost one is back, under the same UID
        told = status(site)
        assert (told["delivered"], told["committed"], told["pending_delivery"]) == (4, 4, 0)
        assert '"resent": 1' in log or "resent=1" in log
        failed = column(site, "SELECT cause FROM commitment WHERE state = 'failed'")
        assert failed == ["0x0112"]
        assert column(site, "SELECT count(*) FROM v1_deliveries WHERE committed_at IS NULL") == [0]


@dataclass(slots=True)
class Archive:
    """An archive that takes objects and answers a request for commitment in its own way."""

    ae_title: str = "ARCHIVE"
    port: int = 0
    how: str = "same"  # same association, or mute, or refuse
    asked: list[str] = field(default_factory=list)

    def action(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        self.asked.append(str(request.TransactionUID))
        if self.how == "refuse":
            return 0x0213, None
        if self.how == "same":
            answer = Dataset()
            answer.TransactionUID = request.TransactionUID
            answer.ReferencedSOPSequence = request.ReferencedSOPSequence
            association = event.assoc
            import threading

            threading.Timer(0.3, self._report, [association, answer]).start()
        return 0x0000, None

    def _report(self, association: Any, answer: Dataset) -> None:
        association.send_n_event_report(
            answer, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )


@contextmanager
def archive(how: str) -> Iterator[Archive]:
    made = Archive(port=free_port(), how=how)
    ae = AE(made.ae_title)
    ae.add_supported_context(Comprehensive3DSRStorage)
    ae.add_supported_context(SecondaryCaptureImageStorage)
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_STORE, lambda _event: 0), (evt.EVT_N_ACTION, made.action)]
    server = ae.start_server(("127.0.0.1", made.port), block=False, evt_handlers=handlers)
    try:
        yield made
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("how", "state", "cause"),
    [
        ("same", "committed", ""),
        ("mute", "parked", "not committed: no answer"),
        ("refuse", "parked", "not committed: N-ACTION 0x0213"),
    ],
)
def test_archives_that_answer_in_other_ways(
    tmp_path: Path, how: str, state: str, cause: str
) -> None:
    files = phantoms(tmp_path / "in", 1, 68)
    with archive(how) as made:
        peer = Peer(name="archive", ae_title=made.ae_title, port=made.port)
        site = write_site(tmp_path / "site", [peer])
        commit(site, "archive", rule="commitment_timeout_s = 1.0\ncommitment_attempts = 2\n")
        with run_node(site) as node:
            send(node.port, files)
            wait_until(lambda: states(site) == {state: 2}, 90, every=0.3)
            assert node.stop() == 0
        assert set(column(site, "SELECT cause FROM v1_deliveries")) == {cause}
        assert len(set(made.asked)) == len(made.asked) >= (1 if how == "same" else 2)
