"""The README's lines work as they are printed."""
import re
import subprocess

import pytest

from stack import ROOT, Stack


@pytest.fixture(scope="module")
def demo():
    """A stack with the demonstration data, as `make up` leaves it."""
    class Demo(Stack):
        def stack(self, command, *arguments, **more):
            return super().stack(command, *[a for a in arguments if a != "--no-demo"], **more)
    with Demo() as stack:
        yield stack


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_the_curl_lines_of_the_readme_work(demo, readme):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / readme).read_text(), re.S)
    lines = "\n".join(b for b in blocks if "curl" in b).replace("http://127.0.0.1:8080", demo.url)
    if readme != "README.md":           # the first has taken that appointment and that slot
        lines = lines.replace("/appointments/1/cancel", "/appointments/2/cancel").replace("2030-01-07", "2030-01-08")
    done = subprocess.run(["sh", "-e", "-c", lines], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "HTTP/1.1 201" in done.stdout and '"status":"waiting_for_confirmation"' in done.stdout
    assert '"status":"cancelled"' in done.stdout
    assert '"duration_minutes":30' in done.stdout
    assert "problem" not in done.stdout, done.stdout


def test_the_environment_is_enough_for_the_command_line(demo):
    done = subprocess.run(["sh", "-e", "-c", f"set -a; . {demo.run}/env; $HEALTHMED_BIN verify"], text=True,
                          capture_output=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0 and "no violation" in done.stdout, done.stdout + done.stderr
