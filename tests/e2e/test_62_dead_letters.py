"""Dead letters: seen, replayed once their cause is mended, dropped."""
import base64
import json

import pytest

from stack import Stack, wait_until

BAD_BODY = b"\xdf\xff\xff\xff\xff"


@pytest.fixture(scope="module")
def own():
    with Stack() as stack:
        yield stack


@pytest.fixture
def clean(own):
    """No letter is there, before and after."""
    own.healthmed("dead-letters", "drop", "--all")
    yield own
    own.healthmed("dead-letters", "drop", "--all")


def letters(stack, count=None):
    """All letters, as `ls --json` tells them; of a count, waits until there are that many."""
    def all_of_them():
        return [json.loads(line) for line in stack.healthmed("dead-letters", "ls", "--json").splitlines()]
    if count is None:
        return all_of_them()
    return wait_until(lambda: len(found := all_of_them()) == count and found, 5, f"there are {count} letters")


def run(stack, *arguments):
    """Status, output and complaints of `healthmed dead-letters`."""
    done = stack.healthmed("dead-letters", *arguments, check=False)
    return done.returncode, done.stdout, done.stderr


class Refused:
    """A booking that the database refuses to store for as long as the block lasts."""

    def __init__(self, stack):
        self.stack, (self.doctor, self.slots), self.patient = stack, stack.doctor_with_slots(2), stack.patient()

    def __enter__(self):
        self.stack.sql(f"ALTER TABLE agenda.appointment ADD CONSTRAINT planted CHECK (patient_id <> {self.patient.id})")
        return self

    def __exit__(self, *_):
        self.stack.sql("ALTER TABLE agenda.appointment DROP CONSTRAINT planted")

    def book(self, slot=0, key=None):
        return self.stack.post("/appointments", self.patient, key=key, schedule_id=self.slots[slot], doctor_id=self.doctor.id)

    def appointments(self):
        return self.stack.sql("SELECT slot_id, status::text FROM agenda.appointment WHERE patient_id = %s", self.patient.id)


def test_a_letter_says_who_asked_what_and_why_it_was_not_done_but_not_the_body(clean):
    with Refused(clean) as refused:
        answer = refused.book()
    assert (answer.status, answer.code) == (500, "failed")
    letter, = letters(clean, 1)
    assert (letter["reason"], letter["call"], letter["user"], letter["role"]) == (
        "not storable", "booking.book", str(refused.patient.id), "patient")
    assert letter["origin"].startswith("BOOKING ") and letter["bytes"] > 0 and "body" not in letter
    number = str(letter["sequence"])
    title, line = run(clean, "ls")[1].splitlines()
    assert title.split() == ["SEQUENCE", "TIME", "REASON", "CALL", "REQUEST", "ORIGIN"]
    assert line.split()[0] == number and "booking.book" in line and letter["request"] in line
    shown = run(clean, "show", number)[1]
    assert f"user      {refused.patient.id}\n" in shown and f"body      {letter['bytes']} bytes; --body shows them\n" in shown
    assert "schedule_id" not in shown
    told = json.loads(run(clean, "show", number, "--body", "--json")[1])
    assert b"schedule_id" in bytes.fromhex(told.pop("body")) and told == letter


def test_a_replay_after_the_cause_is_mended_is_a_new_request_that_names_its_origin(clean):
    with Refused(clean) as refused:
        assert refused.book().status == 500
        letter, = letters(clean, 1)
        assert refused.appointments() == []
    code, out, _ = run(clean, "replay", letter["sequence"], "--json")
    told = json.loads(out)
    assert (code, told["status"], told["code"]) == (0, "booked", None)
    assert told["request"] != letter["request"]
    assert refused.appointments() == [(refused.slots[0], "waiting_for_confirmation")]
    assert clean.get(f"/appointments/requests/{told['request']}", refused.patient).json["status"] == "booked"
    assert clean.get(f"/appointments/requests/{letter['request']}", refused.patient).json["status"] == "failed"
    with clean.nats() as nats:
        last = nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"]
        headers = base64.b64decode(nats.js("STREAM.MSG.GET.BOOKING", seq=last)["message"]["hdrs"]).decode()
    assert f"Healthmed-Origin: {letter['origin']}\r\n" in headers
    assert letters(clean) == []
    assert "no such letter" in run(clean, "replay", letter["sequence"])[2]
    clean.verify()


def test_a_replay_that_fails_again_is_another_letter(clean):
    with Refused(clean) as refused:
        assert refused.book().status == 500
        first, = letters(clean, 1)
        code, out, _ = run(clean, "replay", first["sequence"])
        assert code == 0 and "failed" in out
        second, = letters(clean, 1)
        assert second["sequence"] > first["sequence"] and second["request"] != first["request"]
    code, out, _ = run(clean, "replay", "--all")
    assert code == 0 and f"letter {second['sequence']}: replayed as request " in out and ": booked" in out
    assert len(refused.appointments()) == 1
    clean.verify()


def test_a_letter_replayed_twice_has_one_outcome(clean):
    """The first time it was accepted, and could not be removed."""
    with Refused(clean) as refused:
        assert refused.book().status == 500
        letter, = letters(clean, 1)
    with clean.nats() as nats:
        config = nats.js("STREAM.INFO.DEAD_LETTERS")["config"]
        nats.js("STREAM.UPDATE.DEAD_LETTERS", **{**config, "deny_delete": True})
        try:
            told = [run(clean, "replay", letter["sequence"], "--json") for _ in range(2)]
            assert [code for code, _, _ in told] == [69, 69] and letters(clean) == [letter]
        finally:
            nats.js("STREAM.DELETE.DEAD_LETTERS")
            nats.js("STREAM.CREATE.DEAD_LETTERS", **config)
    assert told[0][1] == told[1][1] and json.loads(told[0][1])["status"] == "booked"
    assert len(refused.appointments()) == 1
    clean.verify()


def test_letters_are_replayed_and_dropped_by_number_or_all_of_them(clean):
    with Refused(clean) as refused:
        assert [refused.book(i).status for i in (0, 1)] == [500, 500]
        numbers = [x["sequence"] for x in letters(clean, 2)]
    for verb in ("replay", "drop"):
        assert run(clean, verb)[0] == 2, "neither a number nor --all"
        assert run(clean, verb, numbers[0], "--all")[0] == 2
    assert len(letters(clean)) == 2
    assert run(clean, "drop", numbers[0]) == (0, f"letter {numbers[0]}: dropped\n", "")
    assert [x["sequence"] for x in letters(clean)] == numbers[1:]
    assert run(clean, "drop", "--all", "--json")[:2] == (0, f'{{"sequence":{numbers[1]},"dropped":true}}\n')
    assert letters(clean) == [] and run(clean, "ls") == (0, "", "")
    assert refused.appointments() == []


def test_a_letter_that_is_not_there_is_neither_shown_nor_replayed_nor_dropped(clean):
    with Refused(clean) as refused:
        assert refused.book().status == 500
        letter, = letters(clean, 1)
    for number in (letter["sequence"] + 1, letter["sequence"] - 1 or 999):
        for verb in ("show", "replay", "drop"):
            assert run(clean, verb, number) == (
                1, "", f"healthmed dead-letters: letter {number}: there is no such letter\n")
    assert letters(clean) == [letter]


def test_what_nobody_asked_for_can_only_be_dropped(clean):
    doctor, slots = clean.doctor_with_slots(1)
    patient = clean.patient()
    assert clean.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id).status == 201
    partition = clean.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", doctor.id)[0][0]
    with clean.nats() as nats:
        nats.stored("BOOKING", f"healthmed.v1.booking.{partition}.{doctor.id}", BAD_BODY,
                    {"Healthmed-Call": "booking.book\x1b[31m", "Healthmed-Request": "x" * 300})
    letter, = letters(clean, 1)
    assert letter["reason"] == "no request id" and letter["request"] is None
    assert "\x1b" not in run(clean, "ls")[1] and "booking.book?[31m" in run(clean, "ls")[1]
    for arguments in ((letter["sequence"],), ("--all",)):
        code, out, err = run(clean, "replay", *arguments)
        assert (code, out) == (1, "") and "can only be dropped" in err
    assert "df ff ff ff ff" in run(clean, "show", letter["sequence"], "--body")[1]
    assert run(clean, "drop", letter["sequence"])[0] == 0
    assert letters(clean) == []
