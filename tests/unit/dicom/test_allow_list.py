"""Who may call: AE title and address together."""

from __future__ import annotations

import socket

import pytest

from ra_daemon.config import Config, Node, Peer
from ra_daemon.dicom.scp import permitted

STORAGE, COMMITMENT = frozenset({"storage"}), frozenset({"commitment"})
NOTHING: frozenset[str] = frozenset()


def site(**peer: object) -> Config:
    named = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.10"}
    return Config(peer=(Peer.model_validate(named | peer),))


@pytest.mark.parametrize(
    ("calling", "address", "services"),
    [
        ("PACS", "192.0.2.10", STORAGE),
        ("PACS", "::ffff:192.0.2.10", STORAGE),
        ("PACS", "192.0.2.11", NOTHING),
        ("PACS", "::ffff:192.0.2.11", NOTHING),
        ("PACS", "2001:db8::10", NOTHING),
        ("OTHER", "192.0.2.10", NOTHING),
        ("pacs", "192.0.2.10", NOTHING),
    ],
)
def test_without_networks_the_host_s_address_counts(
    calling: str, address: str, services: frozenset[str]
) -> None:
    assert permitted(site(), calling, address) == services


@pytest.mark.parametrize(
    ("address", "services"),
    [
        ("198.51.100.7", STORAGE),
        ("::ffff:198.51.100.7", STORAGE),
        ("2001:db8:1::5", STORAGE),
        ("203.0.113.1", STORAGE),
        ("203.0.113.2", NOTHING),
        ("198.51.101.7", NOTHING),
        ("::ffff:198.51.101.7", NOTHING),
        ("2001:db8:2::5", NOTHING),
        ("192.0.2.10", NOTHING),  # the host itself is not among them
    ],
)
def test_networks_take_the_place_of_the_host(address: str, services: frozenset[str]) -> None:
    networks = ["198.51.100.0/24", "203.0.113.1/32", "2001:db8:1::/48"]
    assert permitted(site(networks=networks), "PACS", address) == services


def test_a_host_has_all_addresses_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [(0, 0, 0, "", (a, 0)) for a in ("192.0.2.10", "2001:db8::10")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: known)
    config = site(host="pacs.example")
    for address in ("192.0.2.10", "::ffff:192.0.2.10", "2001:db8::10"):
        assert permitted(config, "PACS", address) == STORAGE
    assert permitted(config, "PACS", "192.0.2.11") == NOTHING


def test_a_host_without_an_address_may_not_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> object:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert permitted(site(host="pacs.example"), "PACS", "192.0.2.10") == NOTHING


def test_a_pure_destination_may_only_report_commitment() -> None:
    destination = {"receive": False, "send": True}
    assert permitted(site(**destination), "PACS", "192.0.2.10") == NOTHING
    asked = site(**destination, commitment=True)
    assert permitted(asked, "PACS", "192.0.2.10") == COMMITMENT
    assert permitted(asked, "PACS", "192.0.2.11") == NOTHING
    assert permitted(site(commitment=True), "PACS", "192.0.2.10") == STORAGE | COMMITMENT


def test_two_entries_of_one_title_add_up() -> None:
    one = Peer(name="old", ae_title="PACS", host="192.0.2.10")
    two = Peer(name="new", ae_title="PACS", host="192.0.2.20")
    config = Config(peer=(one, two))
    for address in ("192.0.2.10", "192.0.2.20"):
        assert permitted(config, "PACS", address) == STORAGE
    assert permitted(config, "PACS", "192.0.2.30") == NOTHING


def test_a_node_may_take_images_from_anybody() -> None:
    config = Config(node=Node(allow_unknown=True))
    assert permitted(config, "STRANGER", "192.0.2.99") == STORAGE | COMMITMENT


def test_a_name_that_no_resolver_can_be_asked_for_lets_nobody_in() -> None:
    peer = Peer.model_construct(**{**site().peer[0].model_dump(), "host": "pacs..hospital"})
    assert permitted(Config.model_construct(peer=(peer,)), "PACS", "192.0.2.10") == NOTHING
