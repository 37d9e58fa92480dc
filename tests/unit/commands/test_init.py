"""init: an annotated file that loads and names what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ra_daemon import settings
from ra_daemon.cli import main
from ra_daemon.commands import init
from tests.support.paths import REPOSITORY


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_peers_become_destinations_of_the_route(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    done = run(
        "init", folder, "--ae", "NODE", "--port", "4242", "--web-port", "0",
        "--pacs", "main=PACS@192.0.2.10:104", "--pacs", "second=OTHER@[2001:db8::1]:11112",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    config = settings.load(folder / "ra-daemon.toml", environ={})
    assert (config.node.ae_title, config.node.port, config.web.port) == ("NODE", 4242, 0)
    assert [(p.name, p.ae_title, p.host, p.port) for p in config.peer] == [
        ("main", "PACS", "192.0.2.10", 104),
        ("second", "OTHER", "2001:db8::1", 11112),
    ]
    (route,) = config.route
    assert route.destinations == ("main", "second")
    assert config.root == folder.resolve() / "data"
    assert (folder / "ra-daemon.toml").stat().st_mode & 0o077 == 0


def test_without_a_peer_the_table_stays_as_a_comment(tmp_path: Path) -> None:
    assert run("init", tmp_path / "site").exit_code == 0
    text = (tmp_path / "site" / "ra-daemon.toml").read_text()
    assert "# [[peer]]" in text
    assert settings.load(tmp_path / "site" / "ra-daemon.toml", environ={}).peer == ()


@pytest.mark.parametrize("peers", [(), ("--pacs", "main=PACS@192.0.2.10:104")])
def test_what_it_writes_is_in_order(tmp_path: Path, peers: tuple[str, ...]) -> None:
    assert run("init", tmp_path, *peers).exit_code == 0
    done = run("config", "check", "--config", tmp_path / "ra-daemon.toml")
    assert (done.exit_code, "in order" in done.stderr) == (0, True), done.output


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    assert run("init", tmp_path).exit_code == 0
    (tmp_path / "ra-daemon.toml").write_text("[node]\nport = 1\n")
    done = run("init", tmp_path)
    assert done.exit_code == 3
    assert "there already" in done.output
    assert run("init", tmp_path, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (("--port", "8042"), 2, "another --web-port"),
        (("--ae", "   "), 3, "node.ae_title"),
        (("--pacs", "a=A@192.0.2.1:104", "--pacs", "a=B@192.0.2.2:104"), 3, "'a' is given twice"),
        (("--pacs", "a=A@Host:104", "--pacs", "b=A@host:104"), 3, "are those of peer 'a'"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(
    tmp_path: Path, options: tuple[str, ...], status: int, told: str
) -> None:
    folder = tmp_path / "site"
    done = run("init", folder, *options)
    assert (done.exit_code, told in done.output) == (status, True), done.output
    assert not folder.exists()
    folder.mkdir()
    kept = folder / "ra-daemon.toml"
    kept.write_text("[node]\nport = 4242\n")
    assert run("init", folder, "--force", *options).exit_code == status
    assert kept.read_text() == "[node]\nport = 4242\n"


def test_the_usual_port_of_the_pages_is_free_for_dicom(tmp_path: Path) -> None:
    done = run("init", tmp_path, "--port", "8042", "--web-port", "8043")
    assert done.exit_code == 0, done.output
    assert settings.load(tmp_path / "ra-daemon.toml", environ={}).node.port == 8042


@pytest.mark.parametrize(
    "pacs",
    [
        "main",
        "main=PACS",
        "main=PACS@host",
        "=PACS@h:1",
        "a=B@h:x",
        "a= @h:1",
        "a=B@ :1",
        "a=B@[]:104",
        "a=B@h:" + "1" * 5000,
        "a=B@h:\u0661",
    ],
)
def test_a_peer_in_another_form_is_a_usage_error(tmp_path: Path, pacs: str) -> None:
    done = run("init", tmp_path / "x", "--pacs", pacs)
    assert done.exit_code == 2
    assert "NAME=AE@HOST:PORT" in done.output


def test_a_port_may_begin_with_zeros(tmp_path: Path) -> None:
    assert run("init", tmp_path, "--pacs", "a=B@h:00104").exit_code == 0
    assert settings.load(tmp_path / "ra-daemon.toml", environ={}).peer[0].port == 104


def test_the_template_is_the_annotated_file_of_the_deployment() -> None:
    ours = Path(init.__file__).with_name("ra-daemon.toml")
    assert ours.read_text() == (REPOSITORY / "deploy" / "ra-daemon.toml").read_text()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=16))
def test_any_title_survives_quoting(title: str) -> None:
    import tomllib

    text = init.set_key('ae_title = "X"   # ours\n', "ae_title", init._quoted(title))
    assert tomllib.loads(text)["ae_title"] == title
