"""The only XML parser of the hub: byte gate, parse, tree gate, shape.

Nothing here reads a value; what comes out is a tree that is safe to walk and has exactly one envelope, one
header and one message header. Work is linear in the input, and what would be quadratic is counted first.
"""

import codecs
import re
from dataclasses import dataclass
from typing import cast

from lxml import etree

from exchange.refusals import Refused

Element = etree._Element
"""A node of a parsed package, for the modules that hold one without reading it."""

NS = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
DS = "http://www.w3.org/2000/09/xmldsig#"

_IN_NS = f"{{{NS}}}"
_BOM = b"\xef\xbb\xbf"
_XML = "http://www.w3.org/XML/1998/namespace"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_DECLARATION = re.compile(
    rb"""<\?xml\s+version\s*=\s*["']1\.0["']"""
    rb"""(?:\s+encoding\s*=\s*["']utf-8["'])?(?:\s+standalone\s*=\s*["'](?:yes|no)["'])?\s*\?>""",
    re.IGNORECASE,
)
_DECLARED = re.compile(rb"<\?xml\s")  # `<?xml-stylesheet` is another instruction
_CHUNK = 1 << 16  # decoded in the cache of the processor, never in new pages of memory
# libxml2 bounds text nodes at 10 MB unless told otherwise; smaller input keeps all its limits.
_HUGE = 9_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on one package. `equals` bounds attributes from above: every attribute needs one `=`."""

    max_bytes: int = 100 * 1024 * 1024
    markup: int = 120_000
    xmlns: int = 2_000
    equals: int = 10_000
    comments: int = 1_000
    elements: int = 50_000
    attributes_per_element: int = 16
    depth: int = 40


LIMITS = Limits()


def parse(raw: bytes, limits: Limits = LIMITS) -> etree._Element:
    """The root of a package whose shape and constructs are safe to walk (QCVN 102:2016, 1.1).

    Raises Refused: package.too-large, package.not-xml, package.forbidden-construct, package.not-edxml.
    Raises MemoryError.
    """
    _byte_gate(raw, limits)
    root = _parse(raw)
    _tree_gate(root, limits)
    _shape_gate(root)
    return root


def local(element: etree._Element) -> str:
    """The lower-case local name of an element in the edXML namespace, "" for anything else.

    Senders differ in letter case, so names are compared folded; a foreign namespace never matches.
    """
    tag = element.tag
    if not isinstance(tag, str) or not tag.startswith(_IN_NS):
        return ""
    return tag[len(_IN_NS) :].lower()


def children(parent: etree._Element, name: str) -> list[etree._Element]:
    """The direct children called `name` (letter case and prefix do not matter)."""
    wanted = name.lower()
    return [child for child in parent if local(child) == wanted]


def envelope(root: etree._Element) -> etree._Element:
    """The one edXMLEnvelope of a parsed package."""
    return _only(root, "edXMLEnvelope")


def header(root: etree._Element) -> etree._Element:
    """The one edXMLHeader of a parsed package."""
    return _only(envelope(root), "edXMLHeader")


def message_header(root: etree._Element) -> etree._Element:
    """The one MessageHeader of a parsed package."""
    return _only(header(root), "MessageHeader")


def path(element: etree._Element) -> str:
    """A readable path such as /edXML/edXMLEnvelope/edXMLHeader/MessageHeader/To[2]/OrganId."""
    steps: list[str] = []
    node: etree._Element | None = element
    while node is not None:
        steps.append(_step(node))
        node = node.getparent()
    return "/" + "/".join(reversed(steps))


def line(element: etree._Element) -> int:
    """The line of the element in the file as sent, 0 where the parser does not know it."""
    return cast("int | None", element.sourceline) or 0


def _step(node: etree._Element) -> str:
    name = _bare(str(node.tag))
    before = sum(1 for _ in node.itersiblings(node.tag, preceding=True))
    alone = before == 0 and next(node.itersiblings(node.tag), None) is None
    return name if alone else f"{name}[{before + 1}]"


def _bare(name: str) -> str:
    """The name without its namespace; lxml's own QName refuses a namespace that holds a brace."""
    return name.rpartition("}")[2]


# --- byte gate --------------------------------------------------------------------------------------------


def _byte_gate(raw: bytes, limits: Limits) -> None:
    if len(raw) > limits.max_bytes:
        raise Refused("package.too-large", size=len(raw), limit=limits.max_bytes)
    if not raw.strip():
        raise _not_xml("gói tin rỗng", "the package is empty")
    _check_utf8(raw)
    _check_declaration(raw)
    _check_markup(raw, limits)
    _check_counts(raw, limits)


def _check_utf8(raw: bytes) -> None:
    """Strict UTF-8 without NUL, chunk by chunk so that 100 MB never become a 200 MB string."""
    if b"\x00" in raw:
        raise _not_xml("có byte NUL (không phải UTF-8)", "it contains NUL bytes (not UTF-8)")
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    view = memoryview(raw)
    try:
        for start in range(0, len(raw), _CHUNK):
            decoder.decode(bytes(view[start : start + _CHUNK]))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_xml("không phải UTF-8", "it is not UTF-8") from error


def _check_declaration(raw: bytes) -> None:
    """`<?xml … ?>` may stand once, first, and may name no encoding but UTF-8."""
    start = len(_BOM) if raw.startswith(_BOM) else 0
    found = re.compile(rb"<\?xml\s", re.IGNORECASE).search(raw)
    if found is None:
        return
    if found.start() != start:
        raise _not_xml(
            "có nội dung đứng trước khai báo <?xml …?>", "something stands before the declaration <?xml …?>"
        )
    if _DECLARATION.match(raw, start) is None:
        raise _not_xml(
            "khai báo <?xml …?> phải là phiên bản 1.0, bảng mã UTF-8",
            "the declaration <?xml …?> must say version 1.0, encoding UTF-8",
        )


def _check_markup(raw: bytes, limits: Limits) -> None:
    """`<!` only as comment or CDATA, `<?` only as the declaration: no DTD, entity or instruction is left.

    The bytes are cut once at every `<`, and the few beginnings looked at: to count `<?` and `<!` in large
    base64 takes longer than to parse it.
    """
    _, *after = raw.split(b"<", limits.markup + 1)
    if len(after) > limits.markup:
        raise _too_many("<", limits.markup)
    marked = [text for text in after if text[:1] in (b"!", b"?")]
    declarations = 1 if _DECLARED.match(raw[:9].removeprefix(_BOM)) else 0
    if sum(text.startswith(b"?") for text in marked) != declarations:
        raise _forbidden("chỉ thị xử lý <?…?>", "a processing instruction <?…?>")
    if any(not text.startswith((b"?", b"!--", b"![CDATA[")) for text in marked):
        raise _forbidden("DOCTYPE hoặc thực thể <!…>", "a DOCTYPE or entity <!…>")
    if sum(text.startswith(b"!--") for text in marked) > limits.comments:
        raise _too_many("<!--", limits.comments)


def _check_counts(raw: bytes, limits: Limits) -> None:
    for token, cap in ((b"xmlns", limits.xmlns), (b"=", limits.equals)):
        if raw.count(token) > cap:
            raise _too_many(token.decode(), cap)


# --- parse ------------------------------------------------------------------------------------------------


def _parse(raw: bytes) -> etree._Element:
    # A parser object is not safe to share between threads, so every call makes its own.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        recover=False,
        huge_tree=len(raw) > _HUGE,
        collect_ids=False,
    )
    try:
        return etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        # It says nothing about the package.
        if error.code == etree.ErrorTypes.ERR_NO_MEMORY:  # type: ignore[attr-defined]
            raise MemoryError from error
        why = "".join(c if c.isprintable() else " " for c in str(error.msg))[:200]
        raise Refused("package.not-xml", why=why, why_en=why, line=error.lineno or 0) from error


# --- tree gate --------------------------------------------------------------------------------------------


def _tree_gate(root: etree._Element, limits: Limits) -> None:
    ids: set[str] = set()
    depth = elements = 0
    for event, node in etree.iterwalk(root, events=("start", "end", "comment")):
        if event == "comment":
            _check_comment(node)
        elif event == "end":
            depth -= 1
        else:
            depth += 1
            elements += 1
            if depth > limits.depth or elements > limits.elements:
                raise _forbidden(
                    "quá nhiều phần tử hoặc lồng quá sâu", "too many or too deeply nested elements"
                )
            _check_prefix(node, str(node.tag))
            if node.attrib:
                _check_attributes(node, ids, limits)


def _check_prefix(element: etree._Element, name: str) -> None:
    """A colon left in a name is a prefix bound to nothing, which the parser lets pass in broken input."""
    if ":" in _bare(name):
        raise Refused(
            "package.not-xml",
            why=f"tiền tố của {name} chưa được khai báo",
            why_en=f"the prefix of {name} is not declared",
            line=line(element),
        )


def _check_comment(comment: etree._Element) -> None:
    """A comment next to text splits the value that another reader would see whole."""
    parent, before = comment.getparent(), comment.getprevious()
    if parent is None:
        return
    left = parent.text if before is None else before.tail
    if (left or "").strip() or (comment.tail or "").strip():
        raise _forbidden("chú thích <!--…--> trong giá trị", "a comment <!--…--> inside a value", parent)


def _check_attributes(element: etree._Element, ids: set[str], limits: Limits) -> None:
    if len(element.attrib) > limits.attributes_per_element:
        raise _forbidden("quá nhiều thuộc tính", "too many attributes on one element", element)
    for key, value in element.attrib.items():
        name = str(key)
        _check_prefix(element, name)
        if name.startswith((f"{{{_XML}}}", f"{{{_XSI}}}")):
            raise _forbidden(f"thuộc tính {name}", f"the attribute {name}", element)
        if _bare(name).lower() == "id":
            if value in ids:
                raise _forbidden("hai phần tử cùng Id", "two elements with the same Id", element)
            ids.add(str(value))


# --- shape ------------------------------------------------------------------------------------------------


def _shape_gate(root: etree._Element) -> None:
    """One of each container, at its fixed place: a second one is how wrapping attacks begin."""
    if local(root) != "edxml":
        raise _not_edxml("phần tử gốc không phải edXML", "the root is not edXML", root)
    message_header(root)
    for parent, name in (
        (root, "AttachmentEncoded"),
        (envelope(root), "edXMLBody"),
        (header(root), "TraceHeaderList"),
    ):
        if len(children(parent, name)) > 1:
            raise _not_edxml(f"có nhiều hơn một {name}", f"more than one {name}", parent)


def _only(parent: etree._Element, name: str) -> etree._Element:
    found = children(parent, name)
    if not found:
        raise _not_edxml(f"thiếu {name}", f"{name} is missing", parent)
    if len(found) > 1:
        raise _not_edxml(f"có nhiều hơn một {name}", f"more than one {name}", found[1])
    return found[0]


# --- refusals: `why` is Vietnamese, `why_en` English ------------------------------------------------------


def _not_xml(vi: str, en: str) -> Refused:
    return Refused("package.not-xml", why=vi, why_en=en)


def _too_many(token: str, cap: int) -> Refused:
    return _forbidden(f"quá {cap} lần “{token}”", f"more than {cap} times “{token}”")


def _forbidden(vi: str, en: str, at: etree._Element | None = None) -> Refused:
    where = "" if at is None else path(at)
    number = 0 if at is None else line(at)
    return Refused("package.forbidden-construct", xpath=where, line=number, construct=vi, construct_en=en)


def _not_edxml(vi: str, en: str, at: etree._Element) -> Refused:
    return Refused("package.not-edxml", xpath=path(at), line=line(at), why=vi, why_en=en)
