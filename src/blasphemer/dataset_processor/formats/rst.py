"""reStructuredText -> Markdown, by docutils: nothing is included from elsewhere, and what Sphinx adds is read as well.

docutils knows neither Sphinx's roles nor its directives, and would show their source: here an unknown role is its text,
and an unknown directive its content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers import rst
from docutils.parsers.rst import Directive, directives, states
from docutils.statemachine import StringList

from blasphemer.dataset_processor.formats.markup import Cell, Markdown, one_line, raised
from blasphemer.dataset_processor.formats.options import Options
from blasphemer.dataset_processor.formats.text import decode
from blasphemer.errors import Unreadable
from blasphemer.records import Document

QUIET = 5  # above the gravest of docutils' complaints
SETTINGS = {
    "_disable_config": True,  # a docutils.conf that lies around changes nothing
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "report_level": QUIET,
    "halt_level": QUIET,
    "traceback": True,  # or docutils ends the process
    "doctitle_xform": False,
    "docinfo_xform": False,
    "syntax_highlight": "none",
    "input_encoding": "unicode",
    "line_length_limit": 1_000_000,  # 10,000 by default, and some write a paragraph as one line
}
NATIVE = frozenset("table csv-table list-table replace unicode date line-block".split())
CODE = frozenset(
    "code code-block sourcecode doctest testcode testoutput testsetup parsed-literal prompt ipython productionlist "
    "console".split()
)
LEFT_OUT = frozenset(
    "contents toctree sectnum section-numbering index meta raw include literalinclude highlight currentmodule role "
    "py:currentmodule default-role tabularcolumns target-notes header footer plot graphviz autosummary title "
    "codeauthor sectionauthor".split()
)
VERSIONS = {
    "versionadded": "Added in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "versionremoved": "Removed in version",
}
_SIGNATURE = re.compile(
    r"(?:\w+:)?(?:function|method|class|classmethod|staticmethod|attribute|data|exception|module|decorator|property|"
    r"member|macro|type|struct|enum|enumerator|union|var|option|program|envvar|describe|object|cmdoption|opcode)"
)
_EXPLICIT = re.compile(r"(.+?)\s+<[^<>]*>", re.DOTALL)  # "OUTPUT_<CONFIG>" names no target
_UNRESOLVED = re.compile(r"`(.+?)`__?", re.DOTALL)
_PREFIXED = {"pep": "PEP ", "rfc": "RFC "}


def read(opened: BinaryIO, file: str, options: Options) -> Iterator[Document]:
    decoded = decode(opened.read(), options.encoding)
    writer = _Writer()
    try:
        writer.block(_parsed(decoded.text), 0)
    except RecursionError as error:
        raise Unreadable("nested too deeply") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # what docutils raises on markup that its authors did not think of
        raise Unreadable(f"not understood as reStructuredText ({type(error).__name__}: {error})") from error
    text = writer.out.text()
    if not text:
        raise Unreadable("no text (only comments and directives)")
    yield Document(file, text, decoded.encoding, markdown=True, removed=writer.removed, note=decoded.note)


def _parsed(source: str) -> Any:
    inliner = states.Inliner()
    inliner.interpreted = _interpreted  # a subclass would miss the patterns, which it looks up in its own class
    with _all_directives_known():
        return publish_doctree(source, parser=rst.Parser(inliner=inliner), settings_overrides=SETTINGS)


@contextmanager
def _all_directives_known() -> Iterator[None]:
    """docutils looks directives up through one function, for the whole process."""
    lookup = directives.directive
    directives.directive = _lookup(lookup)
    try:
        yield
    finally:
        directives.directive = lookup


def _lookup(native: Callable[..., Any]) -> Callable[..., Any]:
    def find(name: str, language: Any, document: Any) -> Any:
        lowered = name.lower()
        if lowered in NATIVE:
            return native(name, language, document)
        if lowered in CODE:
            return _Code, []
        if lowered in LEFT_OUT:
            return _LeftOut, []
        if lowered.startswith("auto"):  # what Sphinx takes from programs is not here; what is written below it is
            return _Figure, []
        return _DIRECTIVES.get(lowered, _Signature if _SIGNATURE.fullmatch(lowered) else _Content), []

    return find


class _AnyOption(dict[str, Callable[[Any], Any]]):
    """Options of all names: an unknown one would cost the whole directive."""

    def __bool__(self) -> bool:
        return True

    def __missing__(self, name: str) -> Callable[[Any], Any]:
        return lambda value: value or ""


class _Content(Directive):  # type: ignore[misc]
    """What stands in a directive is text."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = _AnyOption()
    has_content = True

    def run(self) -> list[Any]:
        return self._nested([*self.argument.split("\n"), ""] if self.argument else [])

    @property
    def argument(self) -> str:
        return self.arguments[0] if self.arguments else ""

    def _nested(self, before: list[str]) -> list[Any]:
        content = StringList(before, source="") + self.content if before else self.content
        parent = nodes.container()
        self.state.nested_parse(content, self.content_offset, parent)
        return [parent]


class _Version(_Content):
    def run(self) -> list[Any]:
        version, *reason = self.argument.split(maxsplit=1) or [""]
        said = f"{VERSIONS[self.name.lower()]} {': '.join([version, *reason])}"
        return self._nested([*said.split("\n"), ""])


class _Signature(_Content):
    """A thing with its description. Its name is not marked up: "*args" is no emphasis."""

    def run(self) -> list[Any]:
        return [nodes.paragraph("", line.strip()) for line in self.argument.split("\n")] + self._nested([])


class _Figure(_Content):
    """A caption, or another text; the argument is the name of a file, or of anything that is not shown."""

    def run(self) -> list[Any]:
        return self._nested([])


class _Image(_Content):
    def run(self) -> list[Any]:
        return [nodes.image("", uri=self.argument)]


class _Code(_Content):
    def run(self) -> list[Any]:
        caption = self.options.get("caption")
        code = nodes.literal_block("", "\n".join(self.content), classes=["code", self.argument])
        return [*([nodes.paragraph("", caption)] if caption else []), code]


class _Math(_Content):
    def run(self) -> list[Any]:
        return [nodes.math_block("", "\n".join([self.argument, *self.content]).strip())]


class _LeftOut(_Content):
    def run(self) -> list[Any]:
        return [nodes.comment("", "\n".join(self.content))]


_DIRECTIVES: dict[str, type[_Content]] = {"figure": _Figure, "image": _Image, "math": _Math, "class": _Signature}
_DIRECTIVES |= dict.fromkeys(VERSIONS, _Version)
_DIRECTIVES |= dict.fromkeys(("only", "ifconfig", "container", "rst-class", "tab", "highlights"), _Figure)


def _interpreted(rawsource: str, text: str, role: str, _line: int) -> tuple[list[Any], list[Any]]:
    """Every role is known: what it does to its text is shown, and its target is not."""
    name = (role or "").lower()
    if name in {"sup", "superscript"}:
        return [nodes.superscript(rawsource, nodes.unescape(text))], []
    if name == "math":
        return [nodes.math(rawsource, nodes.unescape(text, True))], []
    if name in {"code", "literal", "samp", "file"}:
        return [nodes.literal(rawsource, nodes.unescape(text, True))], []
    shown = nodes.unescape(text)
    if explicit := _EXPLICIT.fullmatch(shown):
        shown = explicit.group(1)
    elif shown.startswith("~"):
        shown = shown[1:].rpartition(".")[2]
    return [nodes.inline(rawsource, _PREFIXED.get(name, "") + shown.removeprefix("!"))], []


class _Writer:
    """A document tree, written block by block. docutils has built it recursively, so it is no deeper than it may be."""

    def __init__(self) -> None:
        self.out = Markdown()
        self.removed = 0

    def block(self, node: Any, depth: int) -> None:
        write = getattr(self, f"_{node.tagname}", None)
        if write is not None:
            write(node, depth)
        elif isinstance(node, nodes.TextElement):
            self.out.paragraph(_inline(node))
        else:
            self._children(node, depth)

    def _children(self, node: Any, depth: int) -> None:
        for child in node.children:
            self.block(child, depth)

    def _section(self, node: Any, depth: int) -> None:
        self._children(node, depth + 1)

    def _title(self, node: Any, depth: int) -> None:
        if isinstance(node.parent, nodes.section):
            self.out.heading(depth, _inline(node))
        else:
            self.out.paragraph(_inline(node))

    def _bullet_list(self, node: Any, depth: int) -> None:
        self.out.open_list(node.get("start", 1) if node.tagname == "enumerated_list" else None)
        self._children(node, depth)
        self.out.close_list()

    _enumerated_list = _definition_list = _option_list = _bullet_list

    def _list_item(self, node: Any, depth: int) -> None:
        self.out.open_item()
        self._children(node, depth)

    _definition_list_item = _option_list_item = _list_item

    def _definition(self, node: Any, depth: int) -> None:
        self.out.glue()
        self._children(node, depth)

    _description = _definition

    def _term(self, node: Any, depth: int) -> None:
        after = [one for one in node.parent.children if isinstance(one, nodes.classifier)]
        self.out.paragraph(": ".join(map(_inline, [node, *after])))

    def _option_group(self, node: Any, depth: int) -> None:
        self.out.paragraph(", ".join(option.astext() for option in node.children))

    def _field(self, node: Any, depth: int) -> None:
        name, body = node.children[0], node.children[1]
        if len(body.children) == 1 and isinstance(body.children[0], nodes.paragraph):
            self.out.paragraph(f"{_inline(name)}: {_inline(body)}")
        elif body.children:
            self.out.paragraph(f"{_inline(name)}:")
            self._children(body, depth)

    def _footnote(self, node: Any, depth: int) -> None:
        label, *rest = node.children or [nodes.label()]
        first, others = rest[:1], rest[1:]
        self.out.paragraph(" ".join([f"[{label.astext()}]", *map(_inline, first)]))
        for other in others:
            self.block(other, depth)

    _citation = _footnote

    def _literal_block(self, node: Any, depth: int) -> None:
        named = node.get("classes", [])
        self.out.code(node.astext(), named[1] if named[:1] == ["code"] and len(named) > 1 else "")

    _doctest_block = _literal_block

    def _math_block(self, node: Any, depth: int) -> None:
        self.out.paragraph(f"$${node.astext()}$$")

    def _line_block(self, node: Any, depth: int) -> None:
        self.out.paragraph("\n".join(_inline(line) for line in node.findall(nodes.line)))

    def _table(self, node: Any, depth: int) -> None:
        for title in node.findall(nodes.title):
            self.out.paragraph(_inline(title))
        headed = next(iter(node.findall(nodes.thead)), None) is not None
        self.out.table([[_cell(entry) for entry in row.children] for row in _rows(node)], headed)

    def _comment(self, node: Any, depth: int) -> None:
        self.removed += len(one_line(node.astext()))

    def _system_message(self, node: Any, depth: int) -> None:
        """What docutils could not make sense of is kept as it stands."""
        for child in node.children:
            if isinstance(child, nodes.literal_block):
                self.out.code(child.astext())

    def _nothing(self, node: Any, depth: int) -> None:
        pass

    _substitution_definition = _target = _pending = _raw = _image = _decoration = _classifier = _nothing


def _inline(node: Any) -> str:
    """The text of a paragraph, or of all that is in a cell, on one line."""
    if isinstance(node, nodes.Text):
        return str(node.astext()).replace("\n", " ")
    if isinstance(node, nodes.image | nodes.system_message | nodes.comment | nodes.raw):
        return ""
    if isinstance(node, nodes.problematic):  # a link to somewhere else, most often
        return one_line(_UNRESOLVED.sub(r"\1", node.astext()))
    between = "" if isinstance(node, nodes.TextElement) else " "
    text = between.join(map(_inline, node.children))
    if isinstance(node, nodes.superscript):
        return raised(text)
    if isinstance(node, nodes.footnote_reference | nodes.citation_reference):
        return f"[{text}]"
    return f"${text}$" if isinstance(node, nodes.math) else text


def _rows(table: Any) -> Iterator[Any]:
    """The rows of a table, but not those of tables inside its cells."""
    for group in table.children:
        if isinstance(group, nodes.row):
            yield group
        elif isinstance(group, nodes.tgroup | nodes.thead | nodes.tbody):
            yield from _rows(group)


def _cell(entry: Any) -> Cell:
    return Cell(_inline(entry), entry.get("morecols", 0) + 1, entry.get("morerows", 0) + 1)
