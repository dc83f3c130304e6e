"""`commons demo`: a food pantry's week on a real ledger, in a temporary folder, that ends by itself."""

from __future__ import annotations

import contextlib

import typer

from services.demo import week


def demo(ctx: typer.Context) -> int:
    """Show a food pantry's week on a real ledger, in a temporary folder; it ends by itself in under a minute."""
    root = ctx.find_root().command

    def run(arguments: list[str]) -> int:
        code = 0
        with contextlib.suppress(SystemExit):
            code = root.main(arguments, "commons", standalone_mode=False) or 0
        return int(code)

    return week.show(run)


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
