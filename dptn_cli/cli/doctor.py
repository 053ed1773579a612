"""`dptn doctor`."""

from dataclasses import asdict
from itertools import groupby

import typer
from rich.markup import escape

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import print_json, stdout_console
from dptn_cli.cli.options import Json
from dptn_cli.doctor import Fact, examine
from dptn_cli.errors import ExitCode

app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def doctor(as_json: Json = False) -> ExitCode:
    """Check this machine's setup, and print a fix for each missing piece.

    A missing piece matters only for the commands and options named beside it.
    """
    facts = examine()
    if as_json:
        print_json({"facts": [asdict(fact) for fact in facts]})
        return ExitCode.DONE
    width = max(len(fact.name) for fact in facts)
    for section, section_facts in groupby(facts, lambda fact: fact.section):
        _print(f"[bold]{section}[/]")
        for fact in section_facts:
            _print_fact(fact, width)
        _print("")
    return ExitCode.DONE


def _print_fact(fact: Fact, width: int) -> None:
    mark = "[green]yes[/]" if fact.works else "[yellow]no [/]"
    _print(f"  {mark}  {escape(fact.name.ljust(width))}  [dim]for {escape(fact.needed_for)}[/]")
    # Not a table, which would wrap commands and URLs so that they cannot be copied.
    _print(f"       {escape(fact.found)}")
    if fact.fix:
        _print(f"       Fix: {escape(fact.fix)}")


def _print(line: str) -> None:
    stdout_console.print(line, soft_wrap=True, highlight=False)
