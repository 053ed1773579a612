"""Tables of the HTML report."""

from collections.abc import Iterable


def table(identity: str, head: Iterable[str], rows: Iterable[str]) -> str:
    """A table that scrolls by itself where the page is too narrow.

    Args:
        identity: its id; may be empty.
        head: the cells of its head.
        rows: its rows.
    """
    name = f' id="{identity}"' if identity else ""
    return (
        f'<div class="scroll"><table{name}><thead><tr>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def headings(*titles: str) -> list[str]:
    """Cells of a table's head."""
    return [f'<th scope="col">{title}</th>' for title in titles]
