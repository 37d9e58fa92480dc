"""Kinds of values that a configuration holds, each with what it must be, in plain words."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field


def _networks(value: object) -> object:
    """Say what is wrong with a network, in the place of a list of what it could have been."""
    for text in value if isinstance(value, list | tuple) else ():
        if isinstance(text, int):  # a number is an address to Python
            raise ValueError("must be networks as 192.0.2.0/24")  # noqa: TRY004 - pydantic's way
        if not isinstance(text, str):
            continue
        try:
            ip_network(text)
        except ValueError as error:
            try:
                meant = f"{text!r} names one address of it; write {ip_network(text, strict=False)}"
            except ValueError:
                meant = f"{text!r} is none"
            raise ValueError(
                f"must be networks as 192.0.2.0/24 or 192.0.2.10/32; {meant}"
            ) from error
    return value


def _not_blank(value: str) -> str:
    """Spaces alone mean nothing (PS3.5 6.2), and no application entity can be opened with them."""
    if not value.strip():
        raise ValueError("must have a character that is no space")
    return value


def _askable(value: str) -> str:
    """A name with two dots in a row, say, is one that no resolver can be asked for."""
    try:
        value.encode("idna")
    except UnicodeError as error:
        raise ValueError("must be a host name or an address") from error
    return value


def _title(value: str) -> str:
    """What PS3.5 6.2 lets an AE title hold."""
    if not all(" " <= c <= "~" and c != "\\" for c in value):
        raise ValueError("must be of ASCII letters, digits and signs, without a backslash")
    return value


def _long_string(value: str) -> str:
    """What PS3.5 6.2 lets a value of representation LO hold."""
    if not value.isprintable() or "\\" in value:
        raise ValueError("must be text without a backslash or a control character")
    return value


Host = Annotated[str, AfterValidator(_askable)]
Gpu = Annotated[str, Field(pattern=r"^cuda:\d+$")]
SerialNumber = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_long_string)]
AeTitle = Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_title)]
OwnTitle = Annotated[AeTitle, AfterValidator(_not_blank)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
