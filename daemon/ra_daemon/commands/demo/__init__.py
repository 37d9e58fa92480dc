"""ra-daemon demo: the whole loop on generated radiographs, with a mini PACS."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--out",
    default="ra-demo",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for everything that the demo writes.",
)
@click.option("--no-serve", is_flag=True, help="End at once instead of keeping the page up.")
@click.option(
    "--seed", default=11, show_default=True, type=click.IntRange(0), help="Of the images."
)
@click.pass_context
def command(ctx: click.Context, *, out: Path, no_serve: bool, seed: int) -> None:
    """Play the loop: a PACS, the node, a modality, a crash; then compare both sides.

    All images are generated. Exit status 0 only when nothing is lost, nothing is doubled, and each
    object is scored or refused as it must be.
    """
    from ra_daemon.commands.demo.story import play

    ctx.exit(play(out, seed=seed, serve=not no_serve))
