"""Commands that read: JSON on standard output, errors with a remedy and an exit status."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ra_daemon.cli import COMMANDS, main
from ra_daemon.config import Config
from ra_daemon.domain import Failed, Reason, Refused
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import JobQueue
from tests.support import verdicts
from tests.support.processes import free_port


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def read(*arguments: str | Path) -> object:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_query_of_an_empty_database_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text(f"[store]\nroot = {json.dumps(str(tmp_path))}\n")
    (tmp_path / "ra-daemon.db").touch()
    done = run("query", "select * from v1_results", "--config", path)
    assert done.exit_code == 5
    assert "no database yet" in done.output
    assert "db upgrade" in done.output
    (tmp_path / "objects" / "00").mkdir(parents=True)
    (tmp_path / "objects" / "00" / "a.dcm").touch()
    lost = run("query", "select * from v1_results", "--config", path)
    assert "database is gone or empty" in lost.output


def test_a_header_does_not_command_the_terminal(node: Path) -> None:
    ours, theirs = pty.openpty()
    sql = "select 'a' || char(27) || '[2J' || char(8238) || 'b' AS told, ':bug:' AS [[/red]"
    command = [sys.executable, "-m", "ra_daemon.cli", "query", sql, "--config", str(node)]
    try:
        subprocess.run(command, stdout=theirs, check=True, timeout=60)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert r"a\x1b[2J\u202eb" in shown
    assert ":bug:" in shown, "a cell is no markup"
    assert "[/red" in shown, "and no head of a column"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "-h")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Usage:")


def test_status_of_an_idle_node(node: Path) -> None:
    told = read("status", "--config", node)
    assert isinstance(told, dict)
    assert (told["running"], told["received"], told["unaccounted"]) == (False, 0, 0)


def test_a_node_without_database_is_told_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text("")
    done = run("status", "--config", path)
    assert done.exit_code == 5
    assert done.stdout == ""
    assert "Hint:" in done.stderr
    assert not (tmp_path / "data").exists()


def test_trace_keeps_two_data_sets_under_one_uid_apart(node: Path, config: Config) -> None:
    engine = open_engine(config.database_url)
    for value, sha in ((10.0, "a" * 64), (20.0, "b" * 64)):
        made = replace(verdicts.admission("1.2.3.9"), dataset_sha256=sha, pixel_sha256=sha)
        verdicts.record(engine, JobQueue(engine), made, verdicts.scored(value=value))
    engine.dispose()
    found = read("trace", "1.2.3.9", "--config", node)
    assert isinstance(found, list)
    totals = [[r["value"] for r in i["results"] if r["kind"] == "svdh_total"] for i in found]
    assert totals == [[10.0], [20.0]]
    assert [len(i["jobs"]) for i in found] == [1, 1]
    numbers = [i["results"][0]["outcome_id"] for i in found]
    words = run("trace", "1.2.3.9", "--config", node).stdout
    assert all(f"result {number}: svdh_total" in words for number in numbers)


def test_trace_follows_an_image(node: Path, config: Config) -> None:
    engine = open_engine(config.database_url)
    made = verdicts.admission("1.2.3.9")
    verdicts.record(engine, JobQueue(engine), made, Refused(reason=Reason.CAST))
    engine.dispose()
    found = read("trace", "1.2.3.9", "--config", node)
    assert isinstance(found, list)
    (image,) = found
    assert image["received"]["sop_instance_uid"] == "1.2.3.9"
    assert [r["reason_code"] for r in image["refusals"]] == ["cast"]
    assert [j["state"] for j in image["jobs"]] == ["refused"]
    words = run("trace", "1.2.3.9", "--config", node)
    assert "refused: A cast" in words.stdout
    assert run("trace", "nothing", "--config", node).exit_code == 1


def test_jobs_fail_are_listed_and_queued_again(node: Path, config: Config) -> None:
    engine = open_engine(config.database_url)
    queue = JobQueue(engine)
    (job_id,) = verdicts.enqueue(engine, queue)
    claim = verdicts.claim_one(queue)
    queue.fail(claim, Failed(code="scorer.crashed", message="died", retriable=False), 3, 0.0)
    listed = read("jobs", "list", "--state", "failed", "--config", node)
    assert isinstance(listed, list)
    assert [(j["job_id"], j["cause"]) for j in listed] == [(job_id, "scorer.crashed")]
    assert run("jobs", "retry", "--cause", "scorer.crashed", "--config", node).exit_code == 0
    shown = read("jobs", "show", str(job_id), "--config", node)
    assert isinstance(shown, dict)
    assert shown["state"] == "queued"
    assert run("jobs", "cancel", str(job_id), "--config", node).exit_code == 0
    assert queue.counts()["cancelled"] == 1
    engine.dispose()
    checked = read("db", "check", "--config", node)
    assert isinstance(checked, dict)
    assert checked["audit_head"] != "0" * 64


def test_query_reads_and_refuses_to_write(node: Path) -> None:
    assert read("query", "select count(*) as n from v1_results", "--config", node) == [{"n": 0}]
    done = run("query", "delete from job", "--config", node)
    assert done.exit_code == 5
    assert "DELETE is not allowed" in done.stderr


def test_query_writes_csv_and_parquet(node: Path, tmp_path: Path) -> None:
    sql = "select 1 as a, 'x' as b"
    assert run("query", sql, "--csv", "--config", node).stdout.split() == ["a,b", "1,x"]
    target = tmp_path / "x.parquet"
    assert run("query", sql, "--parquet", target, "--config", node).exit_code == 0
    assert target.read_bytes()[:4] == b"PAR1"


def test_config_check_and_show(node: Path) -> None:
    assert run("config", "check", "--config", node).exit_code == 0
    shown = read("config", "show", "--config", node)
    assert isinstance(shown, dict)
    assert shown["config"]["route"][0]["destinations"] == ["main"]
    node.write_text("[nod]\n")
    done = run("config", "check", "--config", node)
    assert done.exit_code == 3
    assert "nearest is node" in done.stderr


def test_config_show_hides_a_password(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RA_DAEMON_STORE__URL", "postgresql://ra:secret@db/ra")
    done = run("config", "show", "--config", node, "--json")
    assert "secret" not in done.output
    assert "RA_DAEMON_STORE__URL" in done.output


def test_stop_without_a_node_is_no_fault(node: Path) -> None:
    assert run("stop", "--config", node).exit_code == 0


def test_echo_to_nobody_is_a_peer_error(node: Path) -> None:
    done = run("echo", "main", "--config", node)
    assert done.exit_code == 4
    assert "cannot be reached" in done.stderr
    unknown = run("echo", "mian", "--config", node)
    assert unknown.exit_code == 3


def test_start_knows_its_parts(node: Path) -> None:
    assert run("start", "--only", "receive,paint", "--config", node).exit_code == 2


def test_a_lock_needs_its_reason(node: Path) -> None:
    visits, out = node.parent / "visits.csv", node.parent / "out"
    visits.write_text("subject,visit,accession_number\n1,BL,A1\n")
    words = ("cohort", "export", "--visits", visits, "--out", out, "--config", node, "--lock")
    assert run(*words, " ").exit_code == 2
    assert not out.exists(), "no draft in place of a lock"
    assert run(*words, "endpoint").exit_code == 0
    verified = run("cohort", "verify", out)
    assert verified.exit_code == 0
    assert hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest() in verified.stderr


def test_doctor_names_a_remedy_for_every_fault(node: Path) -> None:
    done = run("doctor", "--config", node, "--json")
    told = json.loads(done.stdout)
    faults = [c for c in told["checks"] if not c["ok"]]
    assert done.exit_code == 1
    assert "peer main" in {c["name"] for c in faults}
    assert all(c["remedy"] for c in faults)
    assert {"python", "database", "disk", "port", "plugins"} <= {c["name"] for c in told["checks"]}


def test_doctor_tells_keys_without_effect(node: Path) -> None:
    text = node.read_text().replace('["main"]', '["main", "main"]')
    node.write_text(f'{text}[schedule]\noff_hours = "07:00-07:00"\n')
    told = json.loads(run("doctor", "--config", node, "--json").stdout)
    window, double = [c for c in told["checks"] if c["name"] == "keys"]
    assert "ends when it begins" in window["found"]
    assert "write 00:00-24:00" in window["remedy"]
    assert double["found"] == "route 'hands': destinations has 'main' twice"
    assert double["remedy"] == "In the configuration: remove one."


def test_a_taken_web_port_is_a_fault_with_its_remedy(node: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        node.write_text(f"{node.read_text()}[web]\nport = {holder.getsockname()[1]}\n")
        told = json.loads(run("doctor", "--config", node, "--json").stdout)
    (web,) = [c for c in told["checks"] if c["name"] == "web"]
    assert not web["ok"]
    assert "in use" in web["found"]
    assert "web.port" in web["remedy"]


@pytest.mark.parametrize("below", ["", "/x"])
def test_a_root_that_is_no_folder_is_told_before_a_start(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    config = tmp_path / "ra-daemon.toml"
    config.write_text(f'[store]\nroot = "file{below}"\n[node]\nport = {free_port()}\n')
    checked = run("config", "check", "--config", config)
    assert checked.exit_code == 3
    assert "store.root" in checked.stderr
    told = json.loads(run("doctor", "--config", config, "--json").stdout)
    (root,) = [c for c in told["checks"] if c["name"] == "root"]
    assert (root["ok"], "store.root" in root["remedy"]) == (False, True)


@pytest.mark.parametrize(
    ("lines", "ok"),
    [
        ('host = "0.0.0.0"', False),
        ('host = "0.0.0.0"\nallow_remote = true', True),
        ('host = "127.0.0.1"', True),
        ('host = "0.0.0.0"\nenabled = false', True),
    ],
)
def test_pages_beyond_this_machine_are_a_fault_unless_allowed(
    node: Path, lines: str, ok: bool
) -> None:
    node.write_text(f"{node.read_text()}[web]\nport = {free_port()}\n{lines}\n")
    told = json.loads(run("doctor", "--config", node, "--json").stdout)
    assert all(c["ok"] is ok for c in told["checks"] if c["name"] == "web")
    checked = run("config", "check", "--config", node)
    assert checked.exit_code == (0 if ok else 3)
    assert ("web.allow_remote" in checked.stderr) is not ok


def test_config_check_refuses_what_a_start_refuses(node: Path) -> None:
    folder = node.parent
    (folder / "x.pem").write_text("no certificate")
    (folder / "data" / "models" / "broken").mkdir(parents=True)
    node.write_text(
        f'{node.read_text()}[tls]\nenabled = true\ncertificate = "x.pem"\nkey = "x.pem"\n'
        '[scoring]\nbundle = "broken"\n'
    )
    checked = run("config", "check", "--config", node)
    assert checked.exit_code == 3
    assert "[tls] certificate = " in checked.stderr
    assert "scoring.bundle: " in checked.stderr
