"""The command line: what every subcommand answers before it does anything, and with which status."""
import base64
import json
import os
import subprocess

import pytest

from stack import BIN

SUBCOMMANDS = ("gateway", "actor", "migrate", "verify", "seed", "token", "dead-letters", "config",
               "version", "help")
USAGE, CONFIG = 2, 78


def healthmed(*arguments, **settings):
    """Runs it with these settings alone."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEALTHMED_")}
    env.update({"HEALTHMED_" + name: value for name, value in settings.items()})
    return subprocess.run([BIN, *arguments], env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "dev-1.pem"
    subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path],
                   check=True, capture_output=True)
    return str(path)


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_explains_itself_without_a_configuration(name):
    for arguments in ((name, "--help"), (name, "-h"), ("help", name)):
        done = healthmed(*arguments, NO_SUCH_NAME="x")
        assert done.returncode == 0, done
        assert done.stdout.startswith("Usage: healthmed"), done
        assert done.stderr == ""


def test_without_arguments_it_lists_the_subcommands():
    for arguments in ((), ("--help",), ("help",)):
        done = healthmed(*arguments)
        assert done.returncode == 0
        assert all(f"\n  {name} " in done.stdout for name in SUBCOMMANDS)


def test_a_subcommand_that_does_not_exist_is_wrong_usage():
    for arguments in (("gatway",), ("help", "gatway"), ("--verbose",)):
        done = healthmed(*arguments)
        assert done.returncode == USAGE
        assert done.stderr.count("\n") == 1 and "healthmed help" in done.stderr


@pytest.mark.parametrize("name", ("gateway", "actor", "migrate", "verify", "seed", "token", "dead-letters",
                                  "config"))
def test_a_wrong_configuration_is_named_and_stops_it(name):
    done = healthmed(name, NATS_URLS="nats://127.0.0.1:4222")
    assert done.returncode == CONFIG
    assert "HEALTHMED_NATS_URLS" in done.stderr and "HEALTHMED_NATS_URL meant" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_gateway_with_a_database_url_does_not_start():
    done = healthmed("gateway", REQUEST_KEY="x" * 32, AGENDA_DATABASE_URL="postgresql://u:s3cret@h/d")
    assert done.returncode == CONFIG
    assert "a gateway has no database" in done.stderr and "s3cret" not in done.stderr


def test_the_release_is_printed():
    for arguments in (("version",), ("--version",)):
        assert healthmed(*arguments).stdout == "healthmed 0.1.0\n"


def test_tokens_are_for_the_users_asked_for_in_order(key):
    done = healthmed("token", "--role", "patient", "--first", "7", "--count", "600", "--lifetime", "90",
                     JWT_SIGNING_KEY_FILE=key, JWT_KEY_ID="dev-1")
    assert done.returncode == 0, done.stderr
    all_claims = [claims(line) for line in done.stdout.splitlines()]
    assert [c["sub"] for c in all_claims] == [str(n) for n in range(7, 607)]
    assert {c["role"] for c in all_claims} == {"patient"}
    assert {c["exp"] - c["iat"] for c in all_claims} == {90}
    assert len({c["jti"] for c in all_claims}) == 600


def test_no_token_is_made_with_a_key_of_production(key):
    done = healthmed("token", "--role", "doctor", "--first", "1", JWT_SIGNING_KEY_FILE=key, JWT_KEY_ID="2026a")
    assert done.returncode == CONFIG and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "dev-" in done.stderr


def test_a_token_for_nobody_is_wrong_usage(key):
    for arguments in ((), ("--role", "patient"), ("--role", "nurse", "--first", "1"),
                      ("--role", "patient", "--first", "0"), ("--role", "patient", "--first", "1x"),
                      ("--role", "patient", "--first", "1", "--count", "0"),
                      ("--role", "patient", "--first", "1", "more"), ("--all",)):
        done = healthmed("token", *arguments, JWT_SIGNING_KEY_FILE=key, JWT_KEY_ID="dev-1")
        assert done.returncode == USAGE, arguments
        assert done.stderr.count("\n") == 1


def test_what_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        assert subprocess.run([BIN, "version"], stdout=full, stderr=subprocess.DEVNULL, timeout=60).returncode == 1
