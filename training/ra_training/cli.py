"""The command ra-train: lists the commands, nothing else."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "phantom": "Generate hand radiographs with known joint grades.",
    "data": "Check and prepare images of your own or of a public set.",
    "split": "Deal patients to train, valid, test and folds.",
    "audit": "Look for acquisition attributes that give the score away.",
    "fit": "Train a network of the zoo, the locator or the scorer.",
    "calibrate": "Fit intervals and damage bands on held-out images.",
    "evaluate": "Measure a bundle on images never trained on.",
    "reproduce": "Run a whole study: zoo, schemes, stacks, tables, figures, report.",
    "explain": "Measure heatmaps on generated images whose damaged joints are known.",
    "robustness": "Measure how far scores move when images change that should not matter.",
    "export": "Write a bundle: graph, manifest, card, hashes.",
}


class Lazy(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ra_training.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List without importing."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train, measure and export the models that ra-daemon runs."""


if __name__ == "__main__":
    main()
