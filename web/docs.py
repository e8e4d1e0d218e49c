"""docs.py - web/openapi.yaml becomes build/gen/assets.c: /openapi.json as it is, and /docs as a page for people.

    docs.py web/openapi.yaml web/docs.css >build/gen/assets.c

The page is one file without a script, a font or a picture from elsewhere, so that it works anywhere
and its policy can forbid everything.  Must not know a route: what the page says, the document says.
"""
import base64
import hashlib
import html
import json
import re
import sys
from pathlib import Path
from urllib.parse import urlencode

import yaml

METHODS = ("get", "post", "put", "delete")
MARK = ('<svg viewBox="0 0 32 32" width="32" height="32" aria-hidden="true"><rect width="32" height="32" rx="9" fill="#0b7a75"/>'
        '<path d="M16 7v18M7 16h18" stroke="#fff" stroke-width="5" stroke-linecap="round"/></svg>')
ICON = "data:image/svg+xml;base64," + base64.b64encode(
    MARK.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ').encode()).decode()
text = html.escape


class Page:
    """The document as HTML; each method answers with a piece of it."""

    def __init__(self, document):
        self.document = document
        self.schemas = document["components"]["schemas"]
        self.meaning = {c["const"]: c["description"] for c in self.schemas["ErrorCode"]["oneOf"]}

    # ---- looking things up ----

    def resolve(self, node):
        """Follows a reference, and those behind it; what stands beside one is kept."""
        while "$ref" in node:
            found = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = {**found, **{k: v for k, v in node.items() if k != "$ref"}}
        return node

    def operations(self, tag):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item and tag in item[method]["tags"]:
                    yield method, path, item[method]

    def example(self, schema):
        """A value of a schema: its own example, or one of its parts' examples."""
        schema = self.resolve(schema)
        if "examples" in schema:
            return schema["examples"][0]
        for choice in ("oneOf", "anyOf", "allOf"):
            if choice in schema:
                return self.example(schema[choice][0])
        if schema.get("type") == "array":
            return [self.example(schema["items"])]
        return {name: self.example(s) for name, s in schema.get("properties", {}).items()} or schema.get("const")

    # ---- small pieces ----

    def inline(self, source):
        out = text(source, quote=False)
        out = re.sub(r"`([^`]+)`", r"<code>\1</code>", out)
        out = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", out)
        return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', out)

    def prose(self, source):
        """The little of Markdown that the document uses: paragraphs, lists, code, bold, links."""
        out = []
        for block in re.split(r"\n\s*\n", (source or "").strip()):
            if block.startswith("- "):
                items = re.split(r"^- ", block, flags=re.M)[1:]
                out.append("<ul>" + "".join(f"<li>{self.inline(i.strip())}</li>" for i in items) + "</ul>")
            elif block:
                out.append(f"<p>{self.inline(block)}</p>")
        return "\n".join(out)

    def code(self, source, label):
        """A block of JSON or shell with its words coloured."""
        out = text(source, quote=False)
        out = re.sub(r'("(?:\\.|[^"\\\n])*")(\s*:)?',
                     lambda m: f'<b>{m[1]}</b>{m[2]}' if m[2] else f"<i>{m[1]}</i>", out)
        return f'<figure><figcaption>{label}</figcaption><pre tabindex="0"><code>{out}</code></pre></figure>'

    def json(self, value):
        """Indented, a list of numbers on one line."""
        out = json.dumps(value, indent=2, ensure_ascii=False)
        return re.sub(r"\[[\d\s,]+\]", lambda m: "[" + ", ".join(re.findall(r"\d+", m[0])) + "]", out)

    def kind(self, schema):
        """What a value is, in a few words."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            if self.schemas[name].get("type") == "object" or "oneOf" in self.schemas[name]:
                return f'<a href="#{name}">{name}</a>'
            schema = self.resolve(schema)
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return " or ".join(self.kind(s) for s in schema[choice])
        types = schema.get("type", "value")
        types = [types] if isinstance(types, str) else types
        if "const" in schema:
            return f'always <code>{text(json.dumps(schema["const"]).strip(chr(34)))}</code>'
        if "enum" in schema:
            return " · ".join(f"<code>{text(str(v))}</code>" if v is not None else "null" for v in schema["enum"])
        if types[0] == "array":
            of = f'array of {self.kind(schema["items"])}'
        else:
            of = text(schema.get("title") or schema.get("format", types[0]))
        return of + self.limits(schema, types[0]) + (" or null" if "null" in types else "")

    def limits(self, schema, kind):
        low, high, unit = {"string": ("minLength", "maxLength", " characters"), "array": ("minItems", "maxItems", " items")
                           }.get(kind, ("minimum", "maximum", ""))
        low, high = schema.get(low), schema.get(high)
        if high is None:
            return f", {low} or more" if low is not None else ""
        if not low and unit:
            return f", up to {high}{unit}"
        return f", {high}{unit}" if low == high else f", {low} to {high}{unit}"

    def rows(self, fields):
        """(name, schema, description, required) as a table."""
        out = []
        for name, schema, said, required in fields:
            default = self.resolve(schema).get("default")
            default = f' Default <code>{text(json.dumps(default))}</code>.' if default is not None else ""
            out.append(f'<tr><th scope="row"><code>{text(name)}</code>{"<em>required</em>" if required else ""}</th>'
                       f'<td><span class="kind">{self.kind(schema)}</span>{self.inline(said or "")}{default}</td></tr>')
        return f'<table class="fields">{"".join(out)}</table>'

    def properties(self, schema, required=True):
        return self.rows((name, s, self.resolve(s).get("description"), required and name in schema.get("required", ()))
                         for name, s in schema.get("properties", {}).items())

    # ---- an operation ----

    def who(self, operation):
        roles = [role for need in operation.get("security", ()) for role in need.get("bearer", ())]
        return "".join(f'<span class="role {r}">{r}</span>' for r in roles) or '<span class="role public">no token</span>'

    def parameters(self, operation):
        """Path, query and headers, each with its own table."""
        out = []
        found = [self.resolve(p) for p in operation.get("parameters", ())]
        for place, title in (("path", "In the path"), ("query", "In the query"), ("header", "Headers")):
            of = [(p["name"], p["schema"], p.get("description"), p.get("required")) for p in found if p["in"] == place]
            if of:
                out.append(f"<h4>{title}</h4>{self.rows(of)}")
        return "".join(out)

    def body(self, operation):
        out = []
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            schema = self.resolve(content["schema"])
            of = self.properties(schema) if "properties" in schema else f'<p>{self.kind(content["schema"])}</p>'
            out.append(f"<h4>Body <small>{media}</small></h4>{self.prose(schema.get('description'))}{of}")
        return "".join(out)

    def codes(self, response):
        schema = response.get("content", {}).get("application/problem+json", {}).get("schema", {})
        return [code for part in schema.get("allOf", ()) for code in part.get("properties", {}).get("code", {}).get("enum", ())]

    def answers(self, operation):
        """What is particular to this route, line by line; what every route can answer, in one that opens."""
        own, common = [], []
        for status, response in operation["responses"].items():
            shared, response = "$ref" in response, self.resolve(response)
            of = ", ".join(self.kind(c["schema"]) if "schema" in c else f"<code>{m}</code>"
                           for m, c in response.get("content", {}).items() if m != "application/problem+json")
            found = self.codes(response)
            if len(found) > 1 and not shared:
                said, codes = "", "".join(f'<p><a class="code" href="#{c}">{c}</a> {self.inline(self.meaning[c])}</p>' for c in found)
            else:
                said = self.inline(response["description"])
                codes = "".join(f' <a class="code" href="#{c}">{c}</a>' for c in found)
            line = (f'<li><span class="status s{status[0]}">{status}</span><div>{said}{codes}'
                    f'{f" <span class=kind>{of}</span>" if of else ""}</div></li>')
            (common if shared and status not in ("202", "304", "404", "412") else own).append((status, line))
        more = ", ".join(s for s, _ in common)
        return (f'<h4>Answers</h4><ul class="answers">{"".join(line for _, line in own)}</ul>'
                f'<details class="more"><summary>And, as elsewhere, {more}</summary>'
                f'<ul class="answers">{"".join(line for _, line in common)}</ul></details>')

    def curl(self, method, path, operation):
        parameters = [self.resolve(p) for p in operation.get("parameters", ())]
        filled = re.sub(r"\{(\w+)\}", lambda m: "$" + m[1].upper(), path)
        query = {p["name"]: p["example"] for p in parameters if p["in"] == "query" and "example" in p}
        if query:
            filled += "?" + urlencode({k: json.dumps(v) if isinstance(v, bool) else v for k, v in query.items()})
        parts = [f'curl "{"$API" if "servers" not in self.document["paths"][path] else "http://127.0.0.1:8080"}{filled}"']
        if method in ("put", "delete") or (method == "post" and "requestBody" not in operation):
            parts[0] = parts[0].replace("curl", f"curl -X {method.upper()}", 1)
        if operation.get("security"):
            parts.append('-H "Authorization: Bearer $TOKEN"')
        if any(p["name"] == "Idempotency-Key" for p in parameters):
            parts.append('-H "Idempotency-Key: $(uuidgen)"')
        content = operation.get("requestBody", {}).get("content", {})
        for media, of in content.items():
            if media == "multipart/form-data":
                parts.append("-F file=@exam.pdf")
            else:
                parts += [f'-H "Content-Type: {media}"', f"-d '{self.json(self.example(of['schema']))}'"]
        return self.code(" \\\n  ".join(parts), "Request")

    def sample(self, operation):
        status, response = next(iter(operation["responses"].items()))
        content = self.resolve(response).get("content", {}).get("application/json")
        if not content or "schema" not in content:
            return ""
        return self.code(self.json(self.example(content["schema"])), f"Answer {status}")

    def operation(self, method, path, operation):
        shown = re.sub(r"(\{\w+\})", r"<var>\1</var>", text(path))
        aliases = ", ".join(f"<code>{text(a)}</code>" for a in operation.get("x-aliases", ()))
        return f"""<section class="operation" id="{operation["operationId"]}">
<header><h3><a href="#{operation["operationId"]}">{text(operation["summary"])}</a></h3>
<p class="address"><span class="method {method}">{method.upper()}</span> <code>{shown}</code> {self.who(operation)}</p></header>
<div class="about">{self.prose(operation.get("description"))}{f'<p class="also">Also: {aliases}</p>' if aliases else ""}
{self.parameters(operation)}{self.body(operation)}{self.answers(operation)}</div>
<div class="samples">{self.curl(method, path, operation)}{self.sample(operation)}</div>
</section>"""

    # ---- the whole ----

    def navigation(self):
        out = []
        for tag in self.document["tags"]:
            lines = "".join(f'<li><a href="#{o["operationId"]}"><span class="method {m}">{m.upper()}</span>{text(o["summary"])}</a></li>'
                            for m, _, o in self.operations(tag["name"]))
            out.append(f'<h2><a href="#{anchor(tag["name"])}">{tag["name"]}</a></h2><ul>{lines}</ul>')
        return ('<h2><a href="#start">Start here</a></h2><ul><li><a href="#ErrorCode">Error codes</a></li>'
                '<li><a href="#schemas">Schemas</a></li></ul>' + "".join(out))

    def introduction(self):
        """A paragraph that begins with bold words is a note of that name."""
        lead, notes = [], []
        for block in re.split(r"\n\s*\n", self.document["info"]["description"].strip()):
            named = re.match(r"\*\*(.+?)\.?\*\*\s*(.*)", block, re.S)
            if named:
                notes.append(f"<section><h3>{text(named[1])}</h3><p>{self.inline(named[2][:1].upper() + named[2][1:])}</p></section>")
            else:
                lead.append(f"<p>{self.inline(block)}</p>")
        return f'<div class="lead">{"".join(lead)}</div><div class="notes">{"".join(notes)}</div>'

    def errors(self):
        rows = "".join(f'<tr id="{c["const"]}"><th scope="row"><code>{c["const"]}</code></th><td><span class="status s{c["title"][0]}">'
                       f'{c["title"]}</span></td><td>{self.inline(c["description"])}</td></tr>'
                       for c in self.schemas["ErrorCode"]["oneOf"])
        return f'<table class="errors"><thead><tr><th>code</th><th>status</th><th>title</th></tr></thead>{rows}</table>'

    def objects(self):
        return "".join(f'<section class="schema" id="{name}"><h3><a href="#{name}">{name}</a></h3>'
                       f'{self.prose(schema.get("description"))}{self.properties(schema, False)}</section>'
                       for name, schema in self.schemas.items() if "properties" in schema)

    def groups(self):
        for tag in self.document["tags"]:
            operations = "\n".join(self.operation(*o) for o in self.operations(tag["name"]))
            yield (f'<section class="group" id="{anchor(tag["name"])}"><h2>{tag["name"]}</h2>'
                   f'{self.prose(tag["description"])}{operations}</section>')

    def whole(self, style):
        info = self.document["info"]
        return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(info["title"])} API</title>
<link rel="icon" href="{ICON}">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#start">To the text</a>
<details class="menu"><summary>{MARK}<span>{text(info["title"])}</span><small>Contents</small></summary><nav>{self.navigation()}</nav></details>
<aside><a class="brand" href="#top">{MARK}<span>{text(info["title"])}<small>API {info["version"]}</small></span></a><nav>{self.navigation()}</nav></aside>
<main id="top">
<header class="hero"><p class="over">HTTP API · version {info["version"]}</p><h1>{text(info["title"])}</h1><p>{text(info["summary"])}</p>
<p class="facts"><code>{self.document["servers"][0]["url"]}</code><a href="/openapi.json">openapi.json</a><span>OpenAPI {self.document["openapi"]}</span></p></header>
<section class="group" id="start"><h2>Start here</h2>{self.introduction()}</section>
{"".join(self.groups())}
<section class="group" id="ErrorCode"><h2>Error codes</h2><p>The <code>code</code> of a <a href="#Problem">Problem</a>.</p>{self.errors()}</section>
<section class="group" id="schemas"><h2>Schemas</h2>{self.objects()}</section>
</main>
</body>
</html>
"""


def anchor(name):
    return "on-" + name.lower().replace(" ", "-")


def literal(source):
    """The bytes of a text as literals of C, a line each."""
    def escape(byte):
        char = chr(byte)
        return f"\\{byte:03o}" if not 32 <= byte < 127 or char in '"\\?' else char
    lines = (line for line in re.split(r"(?<=\n)", source) if line)
    return "\n".join(f'\t"{"".join(map(escape, piece.encode()))}"'
                     for line in lines for piece in re.findall(r"(?s).{1,2000}", line))


def main():
    document = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
    style = Path(sys.argv[2]).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
              "form-action 'none'; frame-ancestors 'none'")
    assets = (("openapi", "application/json", "NULL", json.dumps(document, ensure_ascii=False, separators=(",", ":"))),
              ("docs", "text/html; charset=utf-8", f'"{policy}"', Page(document).whole(style)))
    print('/* Made by web/docs.py. */\n#include "web/assets.h"')
    for name, kind, rule, body in assets:
        print(f"\nstatic const char {name}[] =\n{literal(body)};\n")
        print(f'const struct asset asset_{name} = {{ "{kind}", {rule}, {{ {name}, sizeof {name} - 1 }} }};')


if __name__ == "__main__":
    main()
