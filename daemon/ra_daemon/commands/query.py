"""ra-daemon query: a reading SQL statement over the public views."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ra_daemon.commands.common import check_there, config_option, emit_table, load


@click.command("query")
@click.argument("sql")
@click.option("--json", "form", flag_value="json", help="Print a JSON list of objects.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
@click.option(
    "--parquet", type=click.Path(path_type=Path, dir_okay=False), help="Write a Parquet file."
)
@config_option
def command(sql: str, *, form: str | None, parquet: Path | None, config_path: Path | None) -> None:
    """Run SQL over v1_results, v1_refusals, v1_instances, v1_jobs, v1_deliveries.

    The connection refuses to write.
    """
    from ra_daemon.store import query

    config = load(config_path)
    check_there(config)
    with query.open_query(config.database_url, sql) as (columns, rows):
        if parquet is not None:
            held = list(rows)
            query.write_parquet(columns, held, parquet)
            click.echo(f"{len(held)} rows in {parquet}", err=True)
            rows = iter(held)
        if form == "json":
            query.write_json(columns, rows, sys.stdout)
        elif form == "csv":
            query.write_csv(columns, rows, sys.stdout)
        elif parquet is None:
            emit_table(columns, list(rows))
