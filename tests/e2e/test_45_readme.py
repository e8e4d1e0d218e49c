"""The READMEs' lines work as they are printed, and answer what is printed below them."""
import os
import re
import subprocess

import pytest

from stack import ROOT, Stack

READMES = ["README.md", "README.pt-BR.md"]
OWN = ("/health", "/livez", "/readyz", "/.well-known/jwks.json", "/openapi.json", "/docs")


@pytest.fixture(scope="module")
def demo():
    """A stack with the demonstration data, as `make up` leaves it."""
    class Demo(Stack):
        def stack(self, command, *arguments, **more):
            return super().stack(command, *[a for a in arguments if a != "--no-demo"], **more)
    with Demo() as stack:
        yield stack


def tried(readme):
    """The blocks of the section about curl, as (lines to type, answers); the latter may be empty."""
    section = next(s for s in (ROOT / readme).read_text().split("\n## ") if "curl" in s.split("\n")[0])
    blocks = re.findall(r"^```(sh)?\n(.*?)^```$", section, re.S | re.M)
    for i, (kind, text) in enumerate(blocks):
        if kind == "sh":
            yield text, blocks[i + 1][1] if i + 1 < len(blocks) and blocks[i + 1][0] == "" else ""


def agrees(printed, real):
    """Whether a line is what the README prints of it: … stands for anything, numbers and days are of the moment."""
    def pattern(text):
        text = re.escape(re.sub(r'"(date_time_available)":"(?!2030)[^"]*"', r'"\1":"…"', text))
        text = re.sub(r"(?<=_id\":)\d+|(?<=\"id\":)\d+|(?<=appointments/)\d+", r"\\d+", text)
        return text.replace("…", ".*")
    return re.fullmatch(pattern(printed), real) is not None


@pytest.mark.parametrize("readme", READMES)
def test_the_curl_lines_of_the_readme_work_and_answer_what_is_printed(demo, readme):
    blocks = list(tried(readme))
    lines = "".join(text for text, _ in blocks).replace("http://127.0.0.1:8080", demo.url)
    see = re.search(r"^ask .*/requests/.*$", lines, re.M)[0]
    lines = lines.replace(see, f"until {see} | grep -q booked; do :; done\n{see}")    # a machine may be slow
    done = subprocess.run(["sh", "-e", "-c", lines], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answers = [line for line in done.stdout.replace("\r", "").splitlines() if line]
    printed = [line for _, text in blocks for line in text.splitlines() if line != "…"]
    assert len(printed) >= 12
    for line in printed:                        # in that order; the headers that are left out lie between
        while answers and not agrees(line, answers[0]):
            assert not answers[0].startswith(("{", "[")), f"printed {line}\nanswered {answers[0]}"
            answers.pop(0)
        assert answers, f"nothing answers {line}"
        answers.pop(0)
    assert not answers, answers


def test_both_readmes_have_the_same_structure():
    shapes = []
    for readme in READMES:
        text = (ROOT / readme).read_text()
        shapes.append([re.findall(rf"^{start}", text, re.M) for start in ("## ", r"\| `?[\w/]*", "```", r"- ")])
    for one, other in zip(*shapes):
        assert len(one) == len(other)


def test_the_make_targets_and_links_of_the_readme_exist():
    targets = set(" ".join(re.findall(r"^([a-z ]+):.*## ", (ROOT / "Makefile").read_text(), re.M)).split())
    for readme in READMES:
        text = (ROOT / readme).read_text()
        told = set(re.findall(r"`make (\w+)", text))
        told |= {t for row in re.findall(r"^\| `make .*?\|", text, re.M) for t in re.findall(r"`(\w+)`", row)}
        assert told <= targets and targets - told <= {"check"}, (told - targets, targets - told)
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / link).exists(), link


def test_every_route_and_no_other_is_in_the_readme():
    routes = set(re.findall(r'\{ "(\w+)",\s+"(/[^"]*)",', (ROOT / "web" / "routes.c").read_text()))
    for readme in READMES:
        told = set()
        for row in re.findall(r"^\| ((?:GET|POST|PUT|DELETE) .*?) \|", (ROOT / readme).read_text(), re.M):
            method, paths = row.split(" ", 1)
            told |= {(method, path) for path in re.split(r"[ ,()]+", paths) if path}
        assert told - routes == {("GET", p) for p in OWN}
        assert not routes - told


def test_the_environment_is_enough_for_the_command_line(demo):
    bare = {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}
    done = subprocess.run(["sh", "-e", "-c", f"set -a; . {demo.run}/env; $HEALTHMED_BIN verify"], text=True,
                          capture_output=True, check=False, env=bare)
    assert done.returncode == 0 and "no violation" in done.stdout, done.stdout + done.stderr
