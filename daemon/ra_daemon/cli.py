"""The command ra-daemon: a table of commands; a command's module loads when it is asked for."""

from __future__ import annotations

import importlib

import click

from ra_daemon import __version__
from ra_daemon.faults import translated

COMMANDS = {
    "demo": "Play the whole loop on generated radiographs, with a mini PACS.",
    "init": "Write an annotated ra-daemon.toml.",
    "start": "Run the node in the foreground.",
    "stop": "Drain and end the node.",
    "status": "Count what came in, what is worked on and what went out.",
    "doctor": "Check everything around the node; name the remedy of each fault.",
    "score": "Score files without a node; write report and heatmap.",
    "echo": "Ask a peer for a sign of life (C-ECHO).",
    "send": "Send files, or a generated test object, to a peer.",
    "jobs": "List, show, retry and cancel jobs; list, release and give up deliveries.",
    "trace": "Follow a study or an image from arrival to delivery.",
    "plugins": "List, check and begin plugins.",
    "models": "List, show, build, verify, install and retire model bundles.",
    "query": "Run a reading SQL statement over the public views.",
    "cohort": "Export a cohort: table, statistics, manifest.",
    "config": "Check or show the configuration.",
    "db": "Upgrade or check the database.",
    "backup": "Copy database, objects and configuration, with hashes.",
    "purge": "Show or remove received pixels whose results are delivered.",
    "retract": "Withdraw a result that must not be used, and tell the PACS.",
    "legal-hold": "Keep the files of a patient or a study, whatever the retention says.",
    "restore": "Verify a backup, or put it back into an empty root.",
}


class Lazy(click.Group):
    """A group that imports a command only when it is asked for, and tells errors in two lines."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ra_daemon.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List without importing."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what a person can mend is told by message, hint and status."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = translated(error)
            if told is None:
                raise
            click.echo(f"Error: {told}", err=True)
            click.echo(f"Hint: {told.hint}", err=True)
            ctx.exit(getattr(told, "exit_status", 1))


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ra-daemon")
def main() -> None:
    """Score rheumatoid joint damage on hand radiographs, beside a PACS.

    Data goes to standard output, talk to standard error. Exit status: 0 ok, 1 found or failed,
    2 usage, 3 configuration, 4 peer, 5 database.
    """


if __name__ == "__main__":
    main()
