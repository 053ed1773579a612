"""`dptn doctor`."""

from rich.markup import escape
from rich.table import Table

from dptn_cli.cli.console import error_boundary, print_json, results
from dptn_cli.cli.options import Json
from dptn_cli.errors import ExitCode


@error_boundary
def doctor(as_json: Json = False) -> ExitCode:
    """Tell what this machine can do, and the command that mends what is missing."""
    from dptn_cli.diagnosis import examine

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
    table = Table("", "what", box=None)
    table.add_column("found, and how to mend what is missing", overflow="fold")
    for one in facts:
        mark = "[green]yes[/]" if one.works else "[yellow]no[/]"
        mend = f"\n[bold]{escape(one.mend)}[/]" if one.mend else ""
        table.add_row(mark, one.name, escape(one.found) + mend)
    results.print(table)
    return ExitCode.DONE
