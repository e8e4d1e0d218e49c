"""web/openapi.yaml says what the tables of routes, calls, messages and errors say, both ways."""
import re

import pytest

from openapi import PROBLEM, Validator, closed, document as load, formats
from stack import ROOT

INT64_MAX = 2**63 - 1
LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "multipleOf", "enum", "pattern", "format", "const")


@pytest.fixture(scope="module")
def document():
    return load()


def documented(document, route):
    """The operation of a row of the route table, and whether the row is an alias."""
    at = (route["method"].lower(), route["path"])
    method, path = document.aliases.get(at, at)
    return document.paths[path][method], at in document.aliases


def fields(tables, message, *of):
    return [f for f in tables["messages"][message] if f["from"] in of]


# ---- the document by itself ----

def test_the_document_is_openapi_and_every_reference_leads_somewhere(document):
    source = document.source
    assert source["openapi"].startswith("3.1.")
    assert {"title", "version", "description", "license"} <= set(source["info"])
    used = {r for r in re.findall(r"'\$ref': '([^']+)'", str(source))}
    assert used and all(document.resolve({"$ref": r}) for r in used)
    for kind in ("parameters", "headers", "responses", "schemas"):
        for name in source["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, f"nothing uses {name}"


def test_the_version_is_that_of_the_program(document):
    told = re.search(r'HEALTHMED_VERSION\s+"([^"]+)"|VERSION\s+"([^"]+)"', (ROOT / "broker/base/version.h").read_text())
    assert document.source["info"]["version"] == (told[1] or told[2])


def test_operations_have_names_of_their_own_and_all_that_a_reader_wants(document):
    ids = [o["operationId"] for *_, o in document.operations()]
    assert len(ids) == len(set(ids)) >= 20
    tags = {t["name"] for t in document.source["tags"]}
    for method, path, operation in document.operations():
        assert set(operation["tags"]) <= tags and len(operation["tags"]) == 1, path
        assert operation["summary"] and not operation["summary"].endswith("."), path
        in_path = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", path), path
        assert all(p["required"] for p in operation.get("parameters", ()) if p["in"] == "path")
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
            assert "X-Request-Id" in response["headers"], (path, status)
            assert ("content" in response) == (status not in ("204", "304")), (path, status)
            if int(status) >= 400 and path != "/readyz":
                assert list(response["content"]) == [PROBLEM], (path, status)
    assert tags == {t for *_, o in document.operations() for t in o["tags"]}


def test_every_schema_is_one_and_every_example_is_as_its_schema_says(document):
    compared = 0

    def walk(node, at):
        nonlocal compared
        if isinstance(node, list):
            for i, child in enumerate(node):
                walk(child, f"{at}/{i}")
        if not isinstance(node, dict):
            return
        if "examples" in node and ("type" in node or "oneOf" in node):
            Validator.check_schema(node)
            for example in node["examples"]:
                for error in Validator(closed(node), format_checker=formats).iter_errors(example):
                    raise AssertionError(f"{at}: {error.message}")
                compared += 1
        for name, child in node.items():
            if name not in ("examples", "example"):
                walk(child, f"{at}/{name}")
    for name, schema in document.source["components"]["schemas"].items():
        Validator.check_schema(document.resolve(schema))
        walk(document.resolve(schema), name)
        if schema.get("type") == "object" and name not in ("Fault", "Health", "Readiness", "KeySet"):
            assert "examples" in schema, f"{name} has no example"
    assert compared >= 20


# ---- against the tables ----

def test_every_route_is_documented_and_nothing_else_is(document, tables):
    routes = {(r["method"].lower(), r["path"]) for r in tables["routes"]}
    told = {(m, p) for m, p, _ in document.operations() if p not in document.own} | set(document.aliases)
    assert routes == told
    own = set(re.findall(r'\{ "(/[^"]+)", OWN_', (ROOT / "web" / "router.c").read_text()))
    assert own == document.own and "/docs" in own


def test_a_second_name_of_a_route_leads_to_the_same_call(document, tables):
    call = {(r["method"].lower(), r["path"]): (r["call"], *re.findall(r"\{(\w+)\}", r["path"])) for r in tables["routes"]}
    for alias, canonical in document.aliases.items():
        assert call[alias] == call[canonical], alias
    names = [call[m, p] for m, p, _ in document.operations() if p not in document.own]
    assert len(names) == len(set(names)), "two operations of one call and the same parameters: one is an alias"


def test_roles_and_the_status_of_success_are_those_of_the_tables(document, tables):
    for route in tables["routes"]:
        operation, _ = documented(document, route)
        roles = [r for need in operation["security"] for r in need["bearer"]]
        assert roles == (route["only"] if route["auth"] == "TOKEN" else []), route
        assert next(iter(operation["responses"])) == str(route["ok"]), route
        assert [s for s in operation["responses"] if s[0] == "2"] == \
            [str(route["ok"])] + ["202"] * tables["calls"][route["call"]]["mailbox"], route


def told(schema):
    """The type of a schema and what it limits."""
    if "oneOf" in schema and {"type": "null"} in schema["oneOf"]:
        rest = [s for s in schema["oneOf"] if s != {"type": "null"}]
        return {**told(rest[0]), "null": True}
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    out = {k: schema[k] for k in LIMITS if k in schema}
    out["enum"] = [w for w in schema.get("enum", ()) if w is not None]
    return {**{k: v for k, v in out.items() if v not in (0, [])}, "type": [t for t in types if t != "null"], "null": "null" in types}


def wanted(field, answer):
    """The same of a field of a message."""
    low, high, kind = field["min"], field["max"], field["kind"]
    pair = {
        "INT": ("integer", {"minimum": low, "maximum": high if high != INT64_MAX else 0}),
        "REAL": ("number", {"minimum": low, "maximum": high}),
        "MONEY": ("number", {"minimum": low / 100, "maximum": high / 100, "multipleOf": .01}),
        "RATING": ("number", {"minimum": low / 10, "maximum": high / 10, "multipleOf": .1}),
        "TEXT": ("string", {"minLength": low, "maxLength": high}),
        "ENUM": ("string", {"enum": field.get("words")}),
        "BOOL": ("boolean", {}),
        "DATE": ("string", {"format": "date"}),
        "CLOCK": ("string", {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}),
        "TIME": ("string", {"format": "date-time"} if answer else {"pattern": "time"}),
        "TIMES": ("string", {"minLength": 16}),
        "INTS": ("array", {}),
        "LIST": ("array", {"minItems": low, "maxItems": high}),
        "OBJECT": ("object", {}),
    }[kind]
    return {**{k: v for k, v in pair[1].items() if v not in (0, [])}, "type": [pair[0]], "null": answer and not field["required"]}


def compare(tables, field, schema, answer, where):
    """One field with its schema, and whatever lies in it."""
    found = told(schema)
    if field["kind"] == "TIME" and not answer and "pattern" in found:
        assert re.search(found["pattern"], "2027-01-04 10:00") and re.search(found["pattern"], "2027-01-04T10:00:00-03:00")
        found["pattern"] = "time"
    assert found == wanted(field, answer), where
    if field["kind"] in ("OBJECT", "LIST"):
        inner = next((s for s in schema.get("oneOf", ()) if s != {"type": "null"}), schema)
        compare_object(tables, field["of"], inner["items"] if field["kind"] == "LIST" else inner, answer, where)
    if field["kind"] == "INTS":
        assert told(schema["items"]) == wanted({**field, "kind": "INT"}, False), where


def compare_object(tables, message, schema, answer, where):
    of = tables["messages"][message] if answer else fields(tables, message, "BODY")
    assert list(schema["properties"]) == [f["name"] for f in of], where
    assert sorted(schema.get("required", ())) == sorted(f["name"] for f in of if answer or f["required"]), where
    for field in of:
        compare(tables, field, schema["properties"][field["name"]], answer, f"{where}: {field['name']}")


def test_parameters_are_the_fields_of_path_and_query(document, tables):
    for route in tables["routes"]:
        operation, _ = documented(document, route)
        found = [p for p in operation.get("parameters", ()) if p["in"] != "header"]
        of = [f for f in fields(tables, tables["calls"][route["call"]]["req"], "PATH", "QUERY")
              if f["from"] == "QUERY" or "{" + f["name"] + "}" in route["path"]]
        assert [(p["name"], p["in"]) for p in found] == [(f["name"], f["from"].lower()) for f in of], route
        for parameter, field in zip(found, of):
            assert parameter.get("required", False) == (field["required"] or field["from"] == "PATH"), (route, field)
            compare(tables, field, parameter["schema"], False, f"{route}: {field['name']}")


def test_bodies_are_the_fields_of_the_body_with_their_limits(document, tables):
    for route in tables["routes"]:
        operation, _ = documented(document, route)
        message = tables["calls"][route["call"]]["req"]
        of = fields(tables, message, "BODY")
        assert ("requestBody" in operation) == bool(of), route
        if not of:
            continue
        upload = tables["calls"][route["call"]]["via"] == "UPLOAD"
        assert operation["requestBody"]["required"] == (upload or any(f["required"] for f in of)), route
        (media, content), = operation["requestBody"]["content"].items()
        assert media == ("multipart/form-data" if upload else "application/json"), route
        if of[0]["kind"] == "LIST" and of[0]["name"] == "items":        # a body that is a list
            compare(tables, of[0], content["schema"], False, str(route))
        elif media == "application/json":
            compare_object(tables, message, content["schema"], False, str(route))


def test_answers_are_the_fields_of_their_message(document, tables):
    for route in tables["routes"]:
        operation, _ = documented(document, route)
        call = tables["calls"][route["call"]]
        response = operation["responses"][str(route["ok"])]
        of = tables["messages"][call["answer"]]
        if route["ok"] == 204:
            assert "content" not in response, route
            continue
        (media, content), = response["content"].items()
        if media != "application/json":
            assert call["answer"] == "document" or call["via"] == "DOWNLOAD", route
        elif of[0]["name"] == "items" and of[0]["kind"] == "LIST":      # a page is answered as its items
            compare(tables, of[0], content["schema"], True, str(route))
            assert ("Link" in response["headers"]) == any(f["name"] == "next" for f in of), route
        else:
            one, *several = content["schema"].get("oneOf", [content["schema"]])     # of several times, several slots
            assert several in ([], [{"type": "array", "items": one}]) and (not several or route["call"] == "booking.open"), route
            if call["via"] == "EXPORT":                 # its lists come after what its call says
                one = {**one, "properties": {k: v for k, v in one["properties"].items() if k in one["required"]}}
            compare_object(tables, call["answer"], one, True, str(route))


def test_the_export_has_every_list_that_is_put_into_it(document, tables):
    parts = re.findall(r'\{ "(\w+)",\s+(?:ROLE_\w+|ALL),\s+CALL_([a-z]+)_(\w+),\s+(?:NONE|CALL_\w+),\s+(NULL|"\w+")',
                       (ROOT / "web" / "export.c").read_text())
    schema = document.paths["/users/me/export"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert [name for name in schema["properties"] if name not in schema["required"]] == [name for name, *_ in parts]
    for name, domain, verb, by in parts:
        items = schema["properties"][name]["items"]
        if by != "NULL":
            assert list(items["properties"]) == [by.strip('"'), "items"]
            items = items["properties"]["items"]["items"]
        (page, *_) = tables["messages"][tables["calls"][f"{domain}.{verb}"]["answer"]]
        compare_object(tables, page["of"], items, True, name)


def test_headers_are_told_where_they_are_heeded(document, tables):
    for route in tables["routes"]:
        operation, _ = documented(document, route)
        call = tables["calls"][route["call"]]
        headers = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"}
        responses = operation["responses"]
        changes = call["tx"] == "WRITE" and route["method"] != "GET"
        assert ("Idempotency-Key" in headers) == changes, route
        assert ("Prefer" in headers) == call["mailbox"], route
        assert ("If-Match" in headers) == ("412" in responses), route
        tagged = "ETag" in responses[str(route["ok"])]["headers"]
        assert ("If-None-Match" in headers) == ("304" in responses) == (tagged and route["method"] == "GET"), route


def codes(response):
    return [c for part in response["content"][PROBLEM]["schema"]["allOf"] for c in part["properties"]["code"].get("enum", ())]


def test_every_error_code_is_documented_with_its_status_and_some_route_has_it(document, tables):
    listed = document.source["components"]["schemas"]["ErrorCode"]["oneOf"]
    assert {c["const"]: int(c["title"]) for c in listed} == tables["errors"]
    texts = dict(re.findall(r'X\((\w+),\s+\d+, \w+,\s+"([^"]+)"\)', (ROOT / "broker/base/err.h").read_text()))
    assert all(c["description"] == texts[c["const"]] for c in listed)
    told_of = set()
    for method, path, operation in document.operations():
        for status, response in operation["responses"].items():
            if PROBLEM in response.get("content", ()):
                of = codes(response)
                assert of and all(tables["errors"][c] == int(status) for c in of), (path, status)
                told_of |= set(of)
    assert set(tables["errors"]) - told_of == {"method_not_allowed"}


def test_every_route_says_what_may_go_wrong_with_it(document, tables):
    for route in tables["routes"]:
        operation, _ = documented(document, route)
        call, has = tables["calls"][route["call"]], set(operation["responses"])
        must = {"400", "429", "500", "503", "504"}
        if route["auth"] == "TOKEN":
            must.add("401")
            if len(route["only"]) < 2:
                must.add("403")
        if route["method"] in ("POST", "PUT"):
            must |= {"413", "415"}
        if fields(tables, call["req"], "PATH", "QUERY", "BODY"):
            must.add("422")
        assert must <= has, (route, must - has)


# ---- what is served ----

def test_what_is_served_is_the_document_and_a_page_that_loads_nothing(document, stack):
    served = stack.http("GET", "//openapi.json")
    assert served.json == document.source
    page = stack.http("GET", "//docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy and "script" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    text = page.body.decode()
    assert "<script" not in text and not re.search(r'(src|href)="(https?:)?//', text) and "@import" not in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for method, path, operation in document.operations():
        assert operation["operationId"] in ids, path
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
    for path in ("//openapi.json", "//docs"):
        head = stack.http("HEAD", path)
        assert head.body == b"" and head.headers["Content-Length"] == str(len(stack.http("GET", path).body))
