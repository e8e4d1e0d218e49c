"""web/openapi.yaml as tests use it: what it says of a request, and whether an answer is as it says.

`Stack.http` holds every answer that any test gets against it, so that a route, a status or a field that
is not documented fails the test that met it.
"""
import copy
import functools
import re
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, FormatChecker, validators

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("get", "post", "put", "delete")
BASES = ("", "/user-service", "/scheduler-service", "/appointment-service")
PROBLEM = "application/problem+json"

formats = FormatChecker(())
for name, pattern in (("date-time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), ("date", r"\d{4}-\d\d-\d\d")):
    formats.checks(name)(lambda value, pattern=pattern: not isinstance(value, str) or re.fullmatch(pattern, value))


def decimals(validator, step, value, schema):
    """multipleOf without the rounding of binary fractions."""
    if isinstance(value, float) and abs(value / step - round(value / step)) > 1e-6:
        yield from Draft202012Validator.VALIDATORS["multipleOf"](validator, step, value, schema)


Validator = validators.extend(Draft202012Validator, {"multipleOf": decimals})


class Document:
    def __init__(self, path=ROOT / "web" / "openapi.yaml"):
        self.source = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.paths = {}                         # as the source, with every reference followed
        for path, item in self.source["paths"].items():
            item = self.resolve(item)
            self.paths[path] = {m: item[m] for m in METHODS if m in item}
        self.own = {p for p, item in self.source["paths"].items() if "servers" in item}
        self.aliases = {}                       # (method, path) -> (method, path) of the operation
        for path, methods in self.paths.items():
            for method, operation in methods.items():
                for alias in operation.get("x-aliases", ()):
                    other, address = alias.split(" ")
                    self.aliases[other.lower(), address] = (method, path)
        self.templates = [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(p)) + "$"), p)
                          for p in sorted({*self.paths, *(p for _, p in self.aliases)}, key=lambda p: p.count("{"))]

    def resolve(self, node):
        """The node with every reference in it replaced by what it leads to."""
        if isinstance(node, list):
            return [self.resolve(n) for n in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            found = self.source
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            return {**self.resolve(found), **{k: self.resolve(v) for k, v in node.items() if k != "$ref"}}
        return {k: self.resolve(v) for k, v in node.items()}

    def operations(self):
        return [(method, path, operation) for path, methods in self.paths.items() for method, operation in methods.items()]

    @functools.lru_cache(4096)
    def operation(self, method, path):
        """The operation of a request as it was sent, or None."""
        path = path.split("?")[0]
        if path not in self.own:
            for base in BASES:
                if path.startswith(base + "/api/v1/"):
                    path = path[len(base) + len("/api/v1"):]
                    break
            else:
                return None
        method = "get" if method == "HEAD" else method.lower()
        template = next((t for pattern, t in self.templates if pattern.match(path)), None)
        method, template = self.aliases.get((method, template), (method, template))
        return self.paths.get(template, {}).get(method)

    @functools.lru_cache(1024)
    def validator(self, id, status):
        """Of the JSON of one answer: objects have what is documented, and nothing else."""
        operation = next(o for *_, o in self.operations() if o["operationId"] == id)
        media, content = next(iter(operation["responses"][status]["content"].items()))
        return Validator(closed(content["schema"]), format_checker=formats) if "schema" in content else None

    def check(self, method, path, answer):
        """Fails when the answer is not one that is documented for that request."""
        if answer.status in (502, 503, 504) and b'"type":"about:blank"' in answer.body:
            return      # of the proxy, which names no request
        operation, status = self.operation(method, path), str(answer.status)
        where = f"{method} {path[:120]} answered {answer}"
        if operation is None:
            assert answer.status != 200 or path.endswith("/health"), f"{where}: not in openapi.yaml"
            return
        assert status in operation["responses"], f"{where}: openapi.yaml has no {status} of it"
        response = operation["responses"][status]
        for name, header in response.get("headers", {}).items():
            assert name in answer.headers or not header.get("required"), f"{where}: without {name}"
            if name in answer.headers and "pattern" in header["schema"]:
                assert re.search(header["schema"]["pattern"], answer.headers[name]), f"{where}: {name}: {answer.headers[name]}"
        if "content" not in response:
            assert not answer.body, f"{where}: a body that is not documented"
            return
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        assert kind in response["content"], f"{where}: {kind}"
        if method == "HEAD" or not kind.endswith("json"):
            return
        validator = self.validator(operation["operationId"], status)
        for error in validator.iter_errors(answer.json) if validator else ():
            raise AssertionError(f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}")


def closed(schema):
    """The schema, refusing what it does not name."""
    schema = copy.deepcopy(schema)

    def close(node):
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node:
                node.setdefault("additionalProperties", False)
            for child in node.values():
                close(child)
        elif isinstance(node, list):
            for child in node:
                close(child)
    close(schema)
    return schema


@functools.lru_cache(1)
def document():
    return Document()
