"""How the names of results tell their source and target: templates, and those of known systems."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from dptn_cli.errors import InputError
from dptn_cli.io.paths import without_image_suffix

SOURCE, TARGET = "{source}", "{target}"
PRESETS = {
    "dptn": "{source}_2_{target}_vis",
    "gfla": "{source}_2_{target}_vis",
    "nted": "{source}_2_{target}_vis",
    "cfld": "{source}_to_{target}",
    "pidm": "{source}_to_{target}",
    "patn": "{source}___{target}_vis",
}
"""Templates by the name of the system whose published code names its results so."""


@dataclass(frozen=True)
class NameTemplate:
    """A template of results' names, such as `{source}_to_{target}`, without an image suffix.

    Attributes:
        text: the template.
    """

    text: str

    def render(self, source: str, target: str) -> str:
        """Return the name of a result, without its suffix, in the folder of the source.

        Args:
            source: name of the source image.
            target: name of the target image.
        """
        folder = PurePosixPath(source).parent
        parts = {SOURCE: source, TARGET: target}
        name = self.text
        for placeholder, image in parts.items():
            name = name.replace(placeholder, PurePosixPath(without_image_suffix(image)).name)
        return (folder / name).as_posix()

    def split(self, stem: str) -> Iterator[tuple[str, str]]:
        """Yield what source and target a name may stand for.

        The text between the two may be in their names as well. The last place where it stands is
        the likeliest, as in the published names.

        Args:
            stem: name of a result without its folder and its suffix.

        Yields:
            The names of source and target; the source is empty if the template has none.
        """
        first, second = (
            sorted((name for name in (SOURCE, TARGET) if name in self.text), key=self.text.index)
            if SOURCE in self.text
            else (TARGET, "")
        )
        prefix, _, rest = self.text.partition(first)
        middle, _, suffix = rest.partition(second) if second else ("", "", rest)
        long_enough = len(stem) > len(prefix) + len(suffix)
        if not (stem.startswith(prefix) and stem.endswith(suffix) and long_enough):
            return
        body = stem[len(prefix) : len(stem) - len(suffix)]
        if not second:
            yield "", body
            return
        at = body.rfind(middle)
        while at > 0:
            one, other = body[:at], body[at + len(middle) :]
            if other:
                yield (one, other) if first == SOURCE else (other, one)
            at = body.rfind(middle, 0, at + len(middle) - 1)


def parse_template(text: str) -> NameTemplate:
    """Parse a template, or the name of a system in `PRESETS`.

    Raises:
        InputError: it does not name the target once, or nothing stands between the two names.
    """
    template = without_image_suffix(PRESETS.get(text.lower(), text))
    counts = {name: template.count(name) for name in (SOURCE, TARGET)}
    literal = template.replace(SOURCE, "").replace(TARGET, "")
    adjacent = SOURCE + TARGET in template or TARGET + SOURCE in template
    if counts[TARGET] != 1 or counts[SOURCE] > 1 or adjacent or set(literal) & set("{}/"):
        raise InputError(
            f"--names {text}: write {TARGET} once, {SOURCE} at most once, and text between them, "
            f"as in '{SOURCE}_to_{TARGET}.png'; or one of {', '.join(PRESETS)}"
        )
    return NameTemplate(template)
