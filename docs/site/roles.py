"""Docstrings are written to be read in help(); on the site their references become links, their examples code."""

import re
from collections.abc import Iterator

import griffe

ROLE = re.compile(r":(?P<kind>attr|class|data|func|meth|mod):`(?P<short>~?)(?P<name>[\w.]+)`")
EXAMPLE = re.compile(r"^(?P<indent>[ ]*)>>> (?:.*\n?)(?:(?P=indent).+\n?)*", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites the docstrings of a package once it is loaded."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """A name that nothing has is an error; one that has no page stays code."""
        for place in documented(pkg):
            assert place.docstring is not None
            text = ROLE.sub(lambda match, place=place: link(match, place, pkg), place.docstring.value)
            place.docstring.value = EXAMPLE.sub(fence, text)


def link(match: re.Match[str], place: griffe.Object, package: griffe.Module) -> str:
    """The reference as autorefs understands it; a tilde leaves the last name to be seen."""
    name = match["name"]
    shown = name.rpartition(".")[2] if match["short"] else name
    first, *rest = name.split(".")
    try:
        path = name if first == package.name else ".".join([place.resolve(first), *rest])
        held = path.rpartition(".")[0] if match["kind"] == "attr" else path  # what __init__ assigns is not known here
        _ = held == package.name or package[held.removeprefix(f"{package.name}.")]
    except (KeyError, griffe.GriffeError) as error:
        raise LookupError(f"the docstring of {place.path} refers to {name}, which is not there") from error
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'


def fence(match: re.Match[str]) -> str:
    """A doctest, up to the next empty line, as code."""
    return f"{match['indent']}```pycon\n{match[0].rstrip()}\n{match['indent']}```\n"


def documented(place: griffe.Object) -> Iterator[griffe.Object]:
    """An object and all in it that have docstrings; what is only imported is met where it stands."""
    if place.docstring is not None:
        yield place
    for member in place.members.values():
        if isinstance(member, griffe.Object):
            yield from documented(member)
