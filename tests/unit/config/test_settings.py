"""The loader: where the file is found, what it says about faults, what the environment may set."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ra_daemon import checkpoints, contradictions, plugins, settings
from ra_daemon.config import Config
from ra_daemon.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "ra-daemon.toml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as error:
        settings.load(write(folder, text), environ=environ)
    return str(error.value)


def test_an_empty_file_gives_the_defaults_with_paths_beside_it(tmp_path: Path) -> None:
    config = settings.load(write(tmp_path, ""), environ={})
    assert config.root == tmp_path.resolve() / "data"
    assert config.node == Config().node


def test_the_named_file_wins_then_the_environment_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = write(tmp_path, ""), tmp_path / "other.toml"
    there.write_text("")
    monkeypatch.chdir(tmp_path)
    environ = {"RA_DAEMON_CONFIG": str(there)}
    assert settings.locate(here, environ) == here
    assert settings.locate(None, environ) == there
    assert settings.locate(None, {}) == Path("ra-daemon.toml")


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        settings.load(tmp_path / "none.toml", environ={})


def test_no_file_is_an_error_unless_it_is_not_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "SYSTEM", tmp_path / "absent.toml")
    with pytest.raises(ConfigError) as error:
        settings.load(None, environ={})
    assert "ra-daemon init" in error.value.hint
    assert settings.load(None, environ={}, required=False).node.port == 11112


def test_all_faults_at_once_with_key_line_and_nearest(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        '[node]\nprot = 4\nport = 99999\n[[peer]]\nname = "a"\nae_title = "A"\n'
        '[[peer]]\nname = "b"\naetitle = "B"\n[wb]\nport = 3\n',
    )
    assert "node.prot (line 2): unknown key; the nearest is port" in told
    assert "node.port (line 3) = 99999: must be less than or equal to 65535" in told
    assert "peer.2.aetitle (line 9): unknown key; the nearest is ae_title" in told
    assert "wb (line 10): unknown key; the nearest is web" in told
    assert "5 faults" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[scoring]\nworkers = true\n", "scoring.workers (line 2) = true: must be a number"),
        ("[store]\nreserve_gb = true\n", "store.reserve_gb (line 2) = true: must be a number"),
        ("[schedule]\nretain_pixels_days = false\n", "= false: must be a number"),
        ('[node]\nae_title = "SEVENTEEN_LETTERS"\n', ": must have at most 16 characters"),
        ('[node]\nae_title = ""\n', ": must have at least 1 character"),
        ('[node]\nae_title = "  "\n', ": must have a character that is no space"),
        ('[node]\nae_title = "R\u00c4"\n', ": must be of ASCII letters, digits and signs"),
        ("[node]\nae_title = 'A\\B'\n", ", without a backslash"),
        ("[node]\nserial_number = 'a\\b'\n", ": must be text without a backslash or"),
        (f'[node]\nserial_number = "{"1" * 65}"\n', ": must have at most 64 characters"),
        ('[engine]\ndevice = "gpu"\n', ": must match pattern"),
        ('[engine]\nbackends = ["a:fp9"]\n', ": must have fp32, fp16, bf16 or int8 after"),
        ("[store]\nroot = 3\n", "store.root (line 2) = 3: must be a path"),
        ("node = 3\n", "node (line 1) = 3: must be a table"),
        ('[peer]\nname = "a"\n', "peer (line 1): must be a list of tables, each begun by [[peer]]"),
        ('[[route]]\nname = "r"\nscorers = "svdh"\n', "= 'svdh': must be a list"),
        ('[[route]]\nname = "r"\ncalling_networks = [3]\n', "= [3]: must be networks as"),
        (
            '[engine]\ndevice = "cuda:0"\ndevices = ["cuda:1"]\n',
            "engine (line 1): devices: takes the place of device",
        ),
        ("[web]\nenabled = 3\n", "web.enabled (line 2) = 3: must be a valid boolean"),
        ('[store]\nroot = "a\\u0000b"\n', ": must be text without a character of code 0"),
        ('[node]\nhost = "ris..hospital"\n', ": must be a host name or an address"),
        ('[[peer]]\nname = ""\nae_title = "A"\n', ": must have at least 1 character"),
        ('[[route]]\nname = ""\n', ": must have at least 1 character"),
        # what no clock can count back, nor a timer wait, stopped the loop that would have used it
        ("[schedule]\nstarvation_h = 99999999\n", ": must be less than or equal to 8760000"),
        ("[schedule]\nretain_pixels_days = 999999\n", ": must be less than or equal to 365000"),
        ("[scoring]\nlease_s = 1e12\n", ": must be less than or equal to 86400"),
        ("[scoring]\nmemory_limit_mb = 99999999999999999\n", ": must be less than or equal to"),
        ("[delivery]\nmax_retry_s = 1e12\n", ": must be less than or equal to 2592000"),
    ],
)
def test_what_a_value_must_be_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    said = faults(tmp_path, text)
    assert told in said
    assert "should" not in said
    assert "1 fault:" in said


def test_a_truth_value_of_the_environment_is_no_number(tmp_path: Path) -> None:
    said = faults(tmp_path, "", RA_DAEMON_SCORING__WORKERS="true")
    assert "scoring.workers = true: must be a number" in said


def test_a_destination_must_be_a_peer_that_takes_results(tmp_path: Path) -> None:
    peer = '[[peer]]\nname = "main"\nae_title = "P"\n'
    route = '[[route]]\nname = "r"\ndestinations = ["mian"]\n'
    assert "destination 'mian' is no peer; the nearest is main" in faults(tmp_path, peer + route)
    silent = peer + "send = false\n" + route.replace("mian", "main")
    assert "has send = false" in faults(tmp_path, silent)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('calling_networks = ["10.1.2.3/8"]', "names one address of it; write 10.0.0.0/8"),
        ('calling_networks = ["10.1.2.300"]', "must be networks as 192.0.2.0/24 or 192.0.2.10/32"),
        ('sop_classes = ["CR", "MG"]', "CR, DX, SC or the UID of a class that the node takes"),
        ('sop_classes = ["1.2.840.10008.5.1.4.1.1.2"]', "not '1.2.840.10008.5.1.4.1.1.2'"),
        ("max_age = -1", "max_age (line 3) = -1: must be greater than or equal to 0"),
        ("max_age = 17", "max_age 17 is below min_age 18; raise max_age, or lower min_age"),
        ('sop_classes = ["SC"]', "secondary_capture = false refuses; set it to true"),
    ],
)
def test_a_route_that_no_image_could_fit(tmp_path: Path, line: str, told: str) -> None:
    assert told in faults(tmp_path, f'[[route]]\nname = "r"\n{line}\n')


def test_a_route_for_some_images(tmp_path: Path) -> None:
    text = (
        '[[route]]\nname = "r"\ncalling_networks = ["192.0.2.0/24", "2001:db8::/64"]\n'
        'sop_classes = ["CR", "1.2.840.10008.5.1.4.1.1.7"]\nsecondary_capture = true\n'
        "max_age = 90\n"
    )
    (route,) = settings.load(write(tmp_path, text), environ={}).route
    assert [str(n) for n in route.calling_networks] == ["192.0.2.0/24", "2001:db8::/64"]
    assert route.sop_class_uids == {"1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"}
    assert route.max_age == 90


PEER = '[[peer]]\nname = "main"\nae_title = "PACS"\nhost = "192.0.2.10"\n'
SENDS = '[[route]]\nname = "r"\ndestinations = ["main"]\n'


@pytest.mark.parametrize(
    "text",
    [
        "[web]\nenabled = false\nport = 11112\n",
        "[node]\nport = 0\n[web]\nport = 0\n",
        '[[route]]\nname = "r"\n',  # no peer yet: what init writes without --pacs
        f'{PEER}[[route]]\nname = "r"\ndeliver = "database-only"\n',
        '[schedule]\noff_hours = "00:00-24:00 Europe/London"\n',
        '[node]\nae_title = " A "\n',
    ],
)
def test_what_only_looks_like_a_contradiction_is_in_order(tmp_path: Path, text: str) -> None:
    assert idle(tmp_path, text) == []


@pytest.mark.parametrize(
    ("node", "web", "meet"),
    [
        ("0.0.0.0", "127.0.0.1", True),
        ("", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("::", "127.0.0.1", True),  # a socket on :: takes IPv4 as well
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("192.0.2.7", "127.0.0.1", False),
        ("0.0.0.0", "::1", False),
    ],
)
def test_one_port_serves_two_addresses_that_do_not_meet(
    tmp_path: Path, node: str, web: str, meet: bool
) -> None:
    text = f'[node]\nhost = "{node}"\nport = 4242\n[web]\nhost = "{web}"\nport = 4242\n'
    assert len(idle(tmp_path, text)) == meet


def idle(folder: Path, text: str) -> list[str]:
    """What is told of a configuration that a node takes."""
    path = write(folder, text)
    settings.load(path, environ={})
    found = contradictions.idle(settings.written(path, environ={}), date(2026, 6, 15))
    return [str(one) for one in found]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[web]\nport = 11112\n", "web.port 11112 is node.port, too, on the same address, so that"),
        (f'{PEER}[[route]]\nname = "r"\n', "name a peer in destinations, or set deliver to"),
        (
            f'{PEER}send = false\n[[route]]\nname = "r"\ndeliver = "hold"\n',
            "route 'r': deliver = 'hold' without destinations, so that nothing ever leaves",
        ),
        (
            '[node]\nallow_unknown = true\n[[route]]\nname = "r"\n',
            "route 'r': deliver = 'send' without destinations",
        ),
        (PEER + SENDS.replace('"main"', '"main", "main"'), "destinations has 'main' twice; remove"),
        (f'{PEER}{SENDS}scorers = ["svdh", "svdh"]\n', "scorers has 'svdh' twice; remove one"),
        (
            '[schedule]\noff_hours = "20:00-20:00 UTC"\n',
            "'20:00-20:00 UTC' ends when it begins and holds all day; write 00:00-24:00 for that",
        ),
        ('[node]\nmore_titles = ["  "]\n', "more_titles has a title of spaces, which nobody"),
        (
            '[[peer]]\nname = "p"\nae_title = " "\nhost = "192.0.2.10"\n',
            "peer 'p': ae_title is of spaces, which no association takes; correct it",
        ),
        (
            f'{PEER.replace("192.0.2.10", "")}networks = ["192.0.2.0/24"]\n',
            "peer 'main': host is empty, so that nothing reaches it; name its address, or set send",
        ),
        (
            f"{PEER.replace('192.0.2.10', ' ')}send = false\n",
            "peer 'main': host and networks are empty, so that it may not call us; name its",
        ),
        (f'{PEER}{SENDS}calling_ae = ""\n', 'calling_ae is empty and fits nobody; "*" fits any'),
        ('[[route]]\nname = "r"\ncalling_ae = " "\n', "calling_ae is empty and fits nobody"),
        ('[[route]]\nname = "r"\ncalled_ae = " "\n', "called_ae ' ' fits no title of this node"),
        (
            f'{PEER}{SENDS}calling_ae = "CR_*"\n',
            "route 'r': calling_ae 'CR_*' fits no peer that may send to us (PACS); correct it, or",
        ),
        (f"{PEER}receive = false\n{SENDS}", "(there is none)"),
        (
            f'{PEER}{SENDS}calling_networks = ["198.51.100.0/24"]\n',
            "calling_networks holds no address of a peer that fits calling_ae (main); correct it",
        ),
        (
            f'{PEER}networks = ["203.0.113.0/24"]\n{SENDS}calling_networks = ["192.0.2.0/24"]\n',
            "or the networks of that peer",
        ),
        (
            f"{PEER}allow_demonstration_until = 2026-06-14\n{SENDS}",
            "peer 'main': allow_demonstration_until 2026-06-14 is past; set a later day, or remove",
        ),
        (
            f"{PEER}{PEER.replace('main', 'again')}{SENDS}",
            "peer 'again': AE title, host and port are those of peer 'main'; remove one, or set",
        ),
        ('[node]\nmore_titles = ["A", "A "]\n', "node: more_titles has 'A' twice; remove one"),
        (
            f'{PEER}networks = ["192.0.2.0/24", "192.0.2.0/24"]\n{SENDS}',
            "peer 'main': networks has '192.0.2.0/24' twice",
        ),
        (
            f'{PEER}{SENDS}calling_networks = ["192.0.2.0/24", "192.0.2.0/24"]\n',
            "route 'r': calling_networks has '192.0.2.0/24' twice",
        ),
        (f'{PEER}{SENDS}sop_classes = ["CR", "CR"]\n', "sop_classes has 'CR' twice"),
        (f'{PEER}{SENDS}body_parts = ["HAND", "Hand"]\n', "body_parts has 'HAND' twice"),
    ],
)
def test_what_can_have_no_effect_is_told_with_its_remedy(
    tmp_path: Path, text: str, told: str
) -> None:
    (said,) = idle(tmp_path, text)
    assert told in said
    assert said.count("; ") == 1, "a fault and its remedy"


@pytest.mark.parametrize(
    "text",
    [
        f'[node]\nallow_unknown = true\n{PEER}{SENDS}calling_ae = "ANY"\n',
        '[[route]]\nname = "r"\n',
        f'{PEER}{SENDS}calling_ae = "PA*"\ncalling_networks = ["192.0.2.0/28"]\n',
        f'{PEER.replace("192.0.2.10", "pacs.example")}{SENDS}calling_networks = ["10.0.0.0/8"]\n',
        (
            f'{PEER}networks = ["2001:db8::/32", "10.0.0.0/8"]\n'
            f'{SENDS}calling_networks = ["10.1.0.0/16"]\n'
        ),
        f"{PEER}allow_demonstration_until = 2026-06-15\n{SENDS}",
        f"{PEER.replace('192.0.2.10', '127.0.0.1')}allow_demonstration_until = 2020-01-01\n{SENDS}",
        f"{PEER}{PEER.replace('main', 'room')}send = false\n{SENDS}",  # one title, two rooms
        f"{PEER}{PEER.replace('main', 'room')}port = 105\n{SENDS}",
        f'{PEER.replace("192.0.2.10", "")}send = false\nnetworks = ["192.0.2.0/24"]\n',
    ],
)
def test_what_may_have_an_effect_is_in_order(tmp_path: Path, text: str) -> None:
    assert idle(tmp_path, text) == []


def test_what_is_in_force_names_each_destination_and_scorer_once(tmp_path: Path) -> None:
    other = PEER.replace("main", "other").replace("PACS", "OTHER")
    names = SENDS.replace('["main"]', '["other", "main", "other"]')
    scorers = 'scorers = ["severity", "svdh", "severity"]\n'
    path = write(tmp_path, f"{PEER}{other}{names}{scorers}")
    (route,) = settings.load(path, environ={}).route
    assert route.destinations == ("other", "main")
    assert route.scorers == ("severity", "svdh")
    (as_it_stands,) = settings.written(path, environ={}).route
    assert as_it_stands.destinations == ("other", "main", "other")


def test_names_are_unique_and_windows_parse(tmp_path: Path) -> None:
    twice = '[[peer]]\nname = "a"\nae_title = "A"\n' * 2
    told = faults(tmp_path, twice + '[schedule]\noff_hours = "at night"\n')
    assert "'a' is given twice" in told
    assert "'at night' is no window" in told


def test_text_that_is_no_toml_is_told(tmp_path: Path) -> None:
    assert "is no TOML" in faults(tmp_path, "[node\n")


def test_the_environment_overrides_by_the_keys_own_type(tmp_path: Path) -> None:
    environ = {
        "RA_DAEMON_NODE__PORT": "104",
        "RA_DAEMON_NODE__AE_TITLE": "123",
        "RA_DAEMON_WEB__ENABLED": "false",
        "RA_DAEMON_SCORING__PLUGINS": '["svdh"]',
        "RA_DAEMON_SCHEDULE__RETAIN_PIXELS_DAYS": "30",
        "PATH": "/bin",
    }
    config = settings.load(write(tmp_path, "[node]\nport = 1\n"), environ=environ)
    assert (config.node.port, config.node.ae_title) == (104, "123")
    assert config.web.enabled is False
    assert config.scoring.plugins == ("svdh",)
    assert config.schedule.retain_pixels_days == 30


def test_scorers_take_the_gpus_in_turn(tmp_path: Path) -> None:
    one = settings.load(write(tmp_path, '[engine]\ndevice = "cuda:2"\n'), environ={})
    assert [one.engine.device_of(k) for k in range(3)] == ["cuda:2"] * 3
    text = '[engine]\ndevices = ["cuda:1", "cuda:3"]\n'
    several = settings.load(write(tmp_path, text), environ={})
    assert several.engine.device == "cuda:1"
    assert [several.engine.device_of(k) for k in range(3)] == ["cuda:1", "cuda:3", "cuda:1"]
    assert [several.of_scorer(k).engine.device for k in range(2)] == ["cuda:1", "cuda:3"]
    assert several.of_scorer(1).node == several.node
    environ = {"RA_DAEMON_ENGINE__DEVICES": '["cuda:4"]'}
    assert settings.load(write(tmp_path, ""), environ=environ).engine.device == "cuda:4"


def test_one_gpu_and_several_exclude_each_other(tmp_path: Path) -> None:
    text = '[engine]\ndevice = "cuda:0"\ndevices = ["cuda:0", "cuda:1"]\n'
    assert "devices: takes the place of device" in faults(tmp_path, text)
    assert "engine.devices" in faults(tmp_path, '[engine]\ndevices = ["gpu1"]\n')
    assert "engine.devices" in faults(tmp_path, '[engine]\ndevices = "cuda:0"\n')


@pytest.mark.parametrize("name", ["RA_DAEMON_NODE__PROT", "RA_DAEMON_PORT", "RA_DAEMON_PEER__NAME"])
def test_an_unknown_variable_is_an_error(tmp_path: Path, name: str) -> None:
    assert f"{name}: unknown variable" in faults(tmp_path, "", **{name: "1"})


def test_variables_of_other_parts_are_no_keys() -> None:
    others = {*checkpoints.VARIABLES, plugins.ALLOW_VARIABLE, settings.CONFIG_VARIABLE}
    assert settings.overrides(dict.fromkeys(others, "1")) == []


def test_a_password_comes_from_a_file_never_from_the_configuration(tmp_path: Path) -> None:
    secret = "postgresql://ra:secret@db/ra"
    told = faults(tmp_path, f'[store]\nurl = "{secret}"\n')
    assert "url_file" in told
    assert "secret" not in told
    (tmp_path / "url").write_text(secret + "\n")
    config = settings.load(write(tmp_path, '[store]\nurl_file = "url"\n'), environ={})
    assert config.database_url == secret
    by_variable = settings.load(write(tmp_path, ""), environ={"RA_DAEMON_STORE__URL": secret})
    assert by_variable.database_url == secret


def test_a_relative_sqlite_path_is_beside_the_file(tmp_path: Path) -> None:
    config = settings.load(write(tmp_path, '[store]\nurl = "sqlite:///x.db"\n'), environ={})
    assert config.database_url == f"sqlite:///{tmp_path.resolve() / 'x.db'}"


@given(st.text(max_size=60))
def test_no_text_breaks_the_loader(text: str) -> None:
    try:
        tables = settings._parse(text, None)
        settings._resolved(settings._validated(tables, text, [], "text"), Path())
    except ConfigError:
        pass


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tls]\nenabled = true\n", "tls.enabled needs tls.certificate"),
        ('[tls]\ncertificate = "a.pem"\n', "belong together"),
        ('[[peer]]\nname = "p"\nae_title = "P"\ntls = true\n', "needs tls.ca"),
    ],
)
def test_tls_tables_that_contradict_themselves(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        settings.load(path, environ={})


def test_tls_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text('[tls]\ncertificate = "tls/n.pem"\nkey = "/k.pem"\n')
    tls = settings.load(path, environ={}).tls
    assert (tls.certificate, tls.key) == (tmp_path / "tls" / "n.pem", Path("/k.pem"))


def test_a_number_is_finite_and_a_route_has_a_scorer(tmp_path: Path) -> None:
    assert "quiet_s" in faults(tmp_path, "[schedule]\nquiet_s = inf\n")
    route = '[[route]]\nname = "hands"\nscorers = []\n'
    assert "scorers" in faults(tmp_path, route)


def test_a_mark_at_the_beginning_of_the_file_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "ra-daemon.toml"
    path.write_text("[node]\nport = 104\n", encoding="utf-8-sig")
    assert settings.load(path, environ={}).node.port == 104


def test_a_part_of_the_world_is_no_time_zone(tmp_path: Path) -> None:
    told = faults(tmp_path, '[schedule]\noff_hours = "20:00-06:00 Europe"\n')
    assert "no time zone 'Europe'" in told
