"""The operator's command, `commons`."""

from __future__ import annotations

import typer

from services.commands import imports, projections, send, show, status, tail, up, verify
from services.commands.door import Door

app = typer.Typer(
    cls=Door, name="commons", invoke_without_command=True, rich_markup_mode="rich", pretty_exceptions_enable=False,
    add_completion=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Keep the books of community programmes: send commands, look at the read models, check the ledger.",
    epilog="Exit codes: 0 fine · 1 refused, or a check failed · 2 a mistake in the command line · 3 a server cannot be "
    "reached.",
)  # fmt: skip


@app.callback()
def commons(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


for group in (up, send, show, imports, tail, status, projections, verify):
    group.register(app)


def main() -> None:
    """The entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
