"""`dptn doctor`."""

import typer
from rich.markup import escape

from dptn_cli.cli.console import error_boundary, print_json, results
from dptn_cli.cli.options import Json
from dptn_cli.errors import ExitCode

app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def doctor(as_json: Json = False) -> ExitCode:
    """Tell what this machine can do, and the command that mends what is missing."""
    from dptn_cli.doctor import examine

    facts = examine()
    if as_json:
        print_json(
            {
                "facts": [
                    {"name": one.name, "works": one.works, "found": one.found, "mend": one.mend}
                    for one in facts
                ]
            }
        )
        return ExitCode.DONE
    for one in facts:
        mark = "[green]yes[/]" if one.works else "[yellow]no [/]"
        # Not a table, which would break commands and addresses where they cannot be copied.
        _print(f"{mark}  [bold]{escape(one.name)}[/]  {escape(one.found)}")
        if one.mend:
            _print(f"     {escape(one.mend)}")
    return ExitCode.DONE


def _print(line: str) -> None:
    results.print(line, soft_wrap=True, highlight=False)
