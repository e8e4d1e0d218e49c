"""scenario.py - reads a scenario file, and holds its objectives against what was measured.

The form is described in README.md.  Whatever it does not know it refuses, by name.  Must not run
anything.
"""
import ast
import math
import operator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent / "scenarios"
MOST = 20000            # bookings a second, reckoned for who asks as fast as he is answered
KINDS = ("search", "slots", "appointments", "book", "refresh", "login")
SPARE = 1.2             # slots there are, over what the plan may book


class Wrong(Exception):
    """Says what is wrong with a scenario file, in one line."""


@dataclass
class Traffic:
    """Some who ask: connections, what they ask, and how often, step after step."""
    name: str
    connections: int
    steps: list                                     # (requests a second, seconds); inf: as fast as answered
    mix: dict                                       # kind: weight
    expect: dict = field(default_factory=dict)      # kind: statuses that are good answers
    over: str = "http"                              # or nats
    again: bool = False                             # slots are asked for again and again
    timeout: int = 30                               # seconds until a request counts as lost
    give_up_ms: int = 0                             # no more steps after a p99 above this

    @property
    def seconds(self):
        return sum(s for _, s in self.steps)

    @property
    def closed(self):
        return math.isinf(self.steps[0][0])

    def bookings(self):
        share = self.mix.get("book", 0) / sum(self.mix.values())
        return int(sum(min(r, MOST) * s for r, s in self.steps) * share)


@dataclass
class Scenario:
    name: str
    about: str
    traffic: list
    objectives: list
    stack: list = field(default_factory=list)       # options of ./stack up
    doctors: int = 100
    patients: int = 1000
    slots: int = 0                                  # of each doctor; 0: as many as will be booked, and some
    minutes: int = 30
    booked: int = 0                                 # appointments there are before it begins
    settings: dict = field(default_factory=dict)    # HEALTHMED_*: value

    def asks(self, *kinds):
        return any(kind in t.mix for t in self.traffic for kind in kinds)

    def slots_each(self):
        wanted = self.booked + sum(t.bookings() for t in self.traffic if not t.again) * SPARE
        return self.slots or int(wanted / self.doctors) + 2


def _step(text):
    rate, _, seconds = str(text).partition(" x ")
    try:
        step = math.inf if rate.strip() == "max" else float(rate), float(seconds)
    except ValueError:
        step = -1, 0
    if not step[0] >= 0 or not 0 < step[1] < 86400:
        raise Wrong(f"the step '{text}' is not of the form: 2000 x 60, or: max x 60")
    return step


def _known(what, given, known):
    if not isinstance(given, dict):
        raise Wrong(f"{what} is no list of names and values")
    for name in given:
        if name not in known:
            raise Wrong(f"{what} knows no '{name}', only {', '.join(known)}")
    return given


def _traffic(name, given):
    known = ("connections", "steps", "mix", "expect", "over", "again", "timeout", "give_up_ms")
    given = dict(_known(f"traffic {name}", given, known))
    for needed in ("connections", "steps", "mix"):
        if not given.get(needed):
            raise Wrong(f"traffic {name} has no {needed}")
    for part in ("mix", "expect"):
        _known(f"{part} of {name}", given.get(part, {}), KINDS)
    if given.get("over", "http") not in ("http", "nats"):
        raise Wrong(f"traffic {name} goes over http or nats")
    given["steps"] = [_step(s) for s in given["steps"]]
    if len(given["steps"]) > 1 and any(math.isinf(r) for r, _ in given["steps"]):
        raise Wrong(f"traffic {name} asks as fast as it is answered: in one step")
    return Traffic(name=name, **given)


def read(path):
    """The scenario of that file."""
    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as why:
        raise Wrong(f"cannot be read: {str(why).splitlines()[0]}") from None
    known = ("about", "stack", "data", "settings", "traffic", "objectives")
    given = dict(_known("the file", given, known))
    data = _known("data", given.pop("data", {}), ("doctors", "patients", "slots", "minutes", "booked"))
    if not given.get("traffic") or not given.get("objectives"):
        raise Wrong("there is no traffic, or no objectives")
    given["traffic"] = [_traffic(n, t) for n, t in given["traffic"].items()]
    scenario = Scenario(name=path.stem, **given, **data)
    if scenario.patients < scenario.doctors:
        raise Wrong("fewer patients than doctors: a patient would have to be at two places at once")
    for text in scenario.objectives:
        _parse(text)
    return scenario


def every():
    """All scenarios there are, by name."""
    return {p.stem: p for p in sorted(FOLDER.glob("*.yaml"))}


# ---- objectives: a comparison of figures and numbers, such as a.p99_ms <= 2 * b.p99_ms ----

_COMPARE = {ast.LtE: operator.le, ast.Lt: operator.lt, ast.GtE: operator.ge, ast.Gt: operator.gt,
            ast.Eq: operator.eq}
_RECKON = {ast.Mult: operator.mul, ast.Add: operator.add, ast.Sub: operator.sub, ast.Div: operator.truediv}


def _parse(text):
    try:
        tree = ast.parse(str(text), mode="eval").body
    except SyntaxError:
        tree = None
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in _COMPARE:
        raise Wrong(f"the objective '{text}' is no comparison")
    return tree


def _value(node, figures):
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _RECKON:
        return _RECKON[type(node.op)](_value(node.left, figures), _value(node.right, figures))
    name = ast.unparse(node)
    if name not in figures:
        raise Wrong(f"there is no figure '{name}'; there are {', '.join(sorted(figures))}")
    return figures[name]


def judge(objective, figures):
    """Whether it was met, what the left side was and what the right side allowed."""
    tree = _parse(objective)
    left, right = _value(tree.left, figures), _value(tree.comparators[0], figures)
    return {"objective": objective, "met": bool(_COMPARE[type(tree.ops[0])](left, right)),
            "measured": left, "limit": right}
