"""Serve the web application in a thread of the node."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address

import sqlalchemy as sa

from ra_daemon.config import Config
from ra_daemon.errors import ConfigError


class WebServer:
    """uvicorn in a thread; ``port`` is the real one once started."""

    def __init__(
        self, config: Config, engine: sa.Engine, ready: Callable[[], bool] = lambda: True
    ) -> None:
        self._config = config
        self._engine = engine
        self._ready = ready
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = lambda: None
        self.port = config.web.port

    def start(self) -> None:
        """Bind, then serve.

        Raises:
            ConfigError: bound beyond this machine without ``web.allow_remote``.
            OSError: the port is taken.
        """
        check_bind(self._config)
        import uvicorn

        from ra_daemon.web.app import create_app

        family = socket.AF_INET6 if ":" in self._config.web.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._config.web.host, self._config.web.port))
            bound.listen(64)  # from here on callers wait instead of being refused
        except OSError:
            bound.close()
            raise
        self._socket, self.port = bound, int(bound.getsockname()[1])
        app = create_app(self._config, self._engine, self._ready)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, log_level="error", access_log=False)
        )

        def stop() -> None:
            server.should_exit = True

        self._stop = stop
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [bound]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the server and free the port."""
        self._stop()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def check_bind(config: Config) -> None:
    """Refuse to serve beyond this machine unless the file says so.

    Raises:
        ConfigError: ``web.host`` is no loopback address and ``web.allow_remote`` is false.
    """
    if not is_loopback(config.web.host) and not config.web.allow_remote:
        raise ConfigError(
            f"web.host = {config.web.host!r} serves pages without a password beyond this machine.",
            hint="Set web.host to 127.0.0.1, or guard the network and set web.allow_remote = true.",
        )


def is_loopback(host: str) -> bool:
    """Whether an address stays on this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
