"""TLS for both directions: BCP 195 (RFC 9325), 1.2 at least, no weaker fallback (PS3.15 B.9)."""

from __future__ import annotations

import ssl
from pathlib import Path

from ra_daemon.config import Peer, Tls
from ra_daemon.errors import ConfigError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"  # for 1.2; 1.3 has no weak ones
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(tls: Tls) -> ssl.SSLContext | None:
    """How our port speaks; None for plain TCP. With a ``ca`` callers must show a certificate.

    Raises:
        ConfigError: a file cannot be used.
    """
    if not tls.enabled:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _strengthen(context, tls)
    if tls.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls, peer: Peer) -> tuple[ssl.SSLContext, str] | None:
    """How we call a peer, and the name its certificate must hold; None for plain TCP.

    Raises:
        ConfigError: a file cannot be used.
    """
    if not peer.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Peers are often known by address only: without a name the certificate's issuer decides.
    context.check_hostname = bool(peer.tls_name)
    context.verify_mode = ssl.CERT_REQUIRED
    _strengthen(context, tls)
    return context, peer.tls_name or peer.host


def _strengthen(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = _VERSIONS[tls.minimum]
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.ca is not None:
        _trust(context, "ca", tls.ca)
    if tls.certificate is not None and tls.key is not None:
        _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "certificate", tls.certificate)  # it reads
        _identify(context, tls.certificate, tls.key)


def _trust(context: ssl.SSLContext, name: str, path: Path) -> None:
    """Load certificates; what is wrong is told of this one file."""
    _check_file(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise _unusable(name, path, "holds no certificate in PEM form") from error


def _identify(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Load a certificate that is known to read, and its key."""
    _check_file("key", key)
    try:
        # an empty password: an encrypted key is an error, not a question on the terminal
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        what = "holds no private key in PEM form, or one with a password"
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            what = f"does not belong to the certificate {certificate}"
        raise _unusable("key", key, what) from error


def _check_file(name: str, path: Path) -> None:
    """Told apart from what it holds: not there, closed to us, or no file."""
    try:
        if not path.is_file():
            raise _unusable(name, path, "is no file" if path.exists() else "is not there")
        path.open("rb").close()
    except OSError as error:
        raise _unusable(name, path, error.strerror or type(error).__name__) from error


def _unusable(name: str, path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"[tls] {name} = {path}: {what}.",
        hint="PEM files, readable by the daemon's user; the key without a password, mode 0600, "
        "and belonging to the certificate.",
    )
