#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Make a C header of a D-Bus interface file, with its comments as annotations.

gdbus-codegen reads such comments for manuals and leaves them, and annotations of the same meaning,
out of what a program tells who introspects it. Fails where a member has no comment.

    bus-prose.py INTERFACES.xml HEADER.h
"""

import sys
import xml.etree.ElementTree as ET

ANNOTATION = "org.gtk.GDBus.DocString"


def fail(text):
    sys.exit(f"{sys.argv[1]}: {text}")


def parse_comment(text):
    """The name that a comment is about, what it says, and what it says of each argument."""
    lines = [line.strip() for line in text.strip().splitlines()]
    name = lines[0].removesuffix(":")
    arguments = {}
    body = []
    for line in lines[1:]:
        if line.startswith("@"):
            argument, _, words = line[1:].partition(": ")
            arguments[argument] = words
        elif line:
            body.append(line)
    return name, " ".join(body), arguments


def annotate(element, words, what):
    if not words:
        fail(f"nothing is said about {what}")
    annotation = ET.Element("annotation", name=ANNOTATION, value=words)
    element.insert(0, annotation)


def describe(parent, comment, what):
    """Annotate the member or interface that comes after @comment, and what is in it."""
    name, body, arguments = parse_comment(comment) if comment is not None else ("", "", {})
    if name != parent.get("name"):
        fail(f"the comment before {what} is about {name or 'nothing'}")
    for argument in parent.findall("arg"):
        annotate(argument, arguments.get(argument.get("name")), f"{what}, {argument.get('name')}")
    annotate(parent, body or arguments.get("short_description"), what)


def describe_children(parent, path):
    comment = None
    for child in list(parent):
        if child.tag is ET.Comment:
            comment = child.text
            parent.remove(child)
            continue
        if child.tag in ("interface", "method", "signal", "property"):
            what = ".".join(path + [child.get("name")])
            describe(child, comment, what)
            describe_children(child, path + [child.get("name")])
        comment = None


def quote(line):
    """@line as a C string literal."""
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    ascii_only = "".join(
        c if c.isascii() else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in escaped
    )
    return f'  "{ascii_only}\\n"'


def main():
    source, header = sys.argv[1:]
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.parse(source, parser).getroot()
    describe_children(root, [])
    ET.indent(root)
    lines = ET.tostring(root, encoding="unicode").splitlines()
    with open(header, "w", encoding="ascii") as output:
        output.write("/* made by bus-prose.py, not by hand */\n")
        output.write("static const char bus_prose_xml[] =\n")
        output.write("\n".join(quote(line) for line in lines) + ";\n")


main()
