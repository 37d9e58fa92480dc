"""The web application: health, metrics, one page, a small API."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment

from ra_daemon import __version__
from ra_daemon.config import Config
from ra_daemon.errors import DaemonError
from ra_daemon.store import schema, status
from ra_daemon.store.engine import in_place
from ra_daemon.web import facts, metrics

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(
    config: Config, engine: sa.Engine, ready: Callable[[], bool] = lambda: True
) -> FastAPI:
    """The application of one node; ``ready`` tells whether its receivers listen."""
    app = FastAPI(title="ra-daemon", version=__version__, docs_url=None, redoc_url=None)
    page = Environment(autoescape=True).from_string(
        files("ra_daemon.web").joinpath("page.html").read_text(encoding="utf-8")
    )

    def guard(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.get("/healthz")
    def healthz() -> Response:
        """The process answers."""
        return guard(JSONResponse({"status": "ok"}))

    @app.get("/readyz")
    def readyz() -> Response:
        """It can do its work; else 503, and which check failed."""
        checks = readiness(config, engine, ready)
        good = all(checks.values())
        return guard(JSONResponse({"ready": good, **checks}, status_code=200 if good else 503))

    @app.get("/metrics")
    def metrics_text() -> Response:
        """For Prometheus."""
        text = metrics.render(config, engine)
        return guard(Response(text, media_type="text/plain; version=0.0.4; charset=utf-8"))

    @app.get("/api/v1/status")
    def status_json() -> dict[str, Any]:
        """The counts of ra-daemon status."""
        return status.snapshot(engine)

    @app.get("/api/v1/results")
    def results_json(limit: int = 50) -> list[dict[str, Any]]:
        """The last scores without identifiers of patients; at most 1000."""
        return facts.results(engine, max(1, min(limit, 1000)))

    @app.get("/", response_class=HTMLResponse)
    def overview() -> Response:
        """One page for people."""
        models = facts.models(engine)
        shown = page.render(
            counts=status.snapshot(engine),
            results=facts.results(engine),
            refusals=facts.refusals(engine),
            parked=facts.parked(engine),
            models=models,
            bundle=config.scoring.bundle,
            demonstration=any(m["demonstration"] for m in models),
            version=__version__,
        )
        return guard(HTMLResponse(shown))

    return app


def readiness(config: Config, engine: sa.Engine, ready: Callable[[], bool]) -> dict[str, bool]:
    """Checks by name: port, database, disk."""
    try:
        schema.check_version(engine)
        database = in_place(engine)
    except (DaemonError, sa.exc.SQLAlchemyError):
        database = False
    try:
        free = shutil.disk_usage(config.root).free
    except OSError:
        free = 0
    return {
        "port": ready(),
        "database": database,
        "disk": free >= config.store.least_free,
    }
