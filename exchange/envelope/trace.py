"""Our entry in the list of hops (edXML 1.3), in a copy that is handed out; what is stored never changes."""

from datetime import datetime

from lxml import etree

from exchange.envelope import xml
from exchange.envelope.parts import VIETNAM


def with_trace(raw: bytes, organ_id: str, at: datetime) -> bytes:
    """A copy of package `raw` with a TraceHeader of `organ_id`; a status, which has no hops, as it is.

    The prefixes stay as they are; a signature over the whole packet does not survive this.
    """
    root = xml.parse(raw)
    lists = xml.children(xml.header(root), "TraceHeaderList")
    if not lists:
        return raw
    hops, stamp = lists[0], at.astimezone(VIETNAM).strftime("%Y/%m/%d %H:%M:%S")
    last = xml.children(hops, "TraceHeader")[-1:]
    entry = _child(hops, "TraceHeader")
    for name, value in (("OrganId", organ_id), ("Timestamp", stamp)):
        _child(entry, name).text = value
    if last:
        last[0].addnext(entry)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _child(parent: etree._Element, name: str) -> etree._Element:
    """A child in the namespace of `parent`; with the prefix nearest to it, which is the one in use there."""
    return etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{name}")
