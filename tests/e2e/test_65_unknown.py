"""What nobody knows is told as unknown; whoever asks again with his key, at any gateway, hears the one truth."""
import http.client
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest

from pgproxy import MODES, PgProxy
from stack import Stack, cpf, wait_until


@pytest.fixture(scope="module")
def two():
    """Two gateways."""
    with Stack("--gateways", "2") as stack:
        yield stack


@pytest.fixture(scope="module")
def proxy(two):
    """PostgreSQL behind a proxy; the actors that are cut off have connected through it."""
    with PgProxy(two) as between:
        for name in ("actor-users", "actor-booking"):
            two.stop(name)
            two.start(name)
        yield between


class Booking:
    """One booking, asked for at one gateway, and again with its key at the other."""

    def __init__(self, stack):
        self.stack, self.key = stack, str(uuid.uuid4())
        self.doctor, (self.slot,) = stack.doctor_with_slots(1)
        self.patient = stack.patient()

    def ask(self, gateway, prefer="wait=5"):
        return self.stack.http("POST", "/appointments", {"schedule_id": self.slot, "doctor_id": self.doctor.id}, self.patient,
                               {"Idempotency-Key": self.key, "Prefer": prefer}, url=self.stack.urls[gateway])

    def is_one(self, told=None):
        """The other gateway tells the one outcome, which is in the database, and was told before if anything was."""
        again = wait_until(lambda: (a := self.ask(1, "wait=20")).status not in (202, 503, 504) and a, 30, "the key tells")
        assert again.status == 201, again
        assert told is None or told.status in (202, 504) or told.body == again.body, (told, again)
        rows = self.stack.sql("SELECT id, patient_id FROM agenda.appointment WHERE slot_id = %s", self.slot)
        assert rows == [(again.json["id"], self.patient.id)]
        wait_until(lambda: " 0 pending" in self.stack.verify(), 10, "nothing is pending")


class Registration:
    """One registration, the same way."""

    def __init__(self, stack):
        self.stack, self.key = stack, str(uuid.uuid4())
        self.body = {"full_name": "Rosa Lima", "email": f"{self.key}@test.example", "password": "s3gredo-longo",
                     "role": "patient", "document_id": cpf(), "phone": "+55 31 5550-0100"}

    def ask(self, gateway):
        return self.stack.http("POST", "/users", self.body, headers={"Idempotency-Key": self.key}, url=self.stack.urls[gateway])

    def is_one(self, told):
        assert (told.status, told.code) == (504, "outcome_unknown"), told
        again = wait_until(lambda: (a := self.ask(1)).status not in (503, 504) and a, 30, "the key tells")
        assert again.status == 201, again
        assert self.stack.sql("SELECT id FROM users.account WHERE email = %s", self.body["email"]) == [(again.json["id"],)]


@pytest.mark.parametrize("mode", MODES)
def test_a_booking_whose_commit_lost_its_connection_has_one_outcome(two, proxy, mode):
    booking = Booking(two)
    with proxy.cutting("booking_write_requests", mode):
        told = booking.ask(0)
    booking.is_one(told)


@pytest.mark.parametrize("mode", MODES)
def test_a_registration_whose_commit_lost_its_connection_is_unknown_and_the_key_tells(two, proxy, mode):
    registration = Registration(two)
    with proxy.cutting("users_register", mode):
        told = registration.ask(0)
    registration.is_one(told)


def test_a_commit_that_is_still_under_way_when_its_worker_is_back_is_waited_for(two, proxy):
    """The server takes a second for it, and the worker has another session long before."""
    booking = Booking(two)
    two.sql("CREATE FUNCTION agenda.planted() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_sleep(1); RETURN NULL; END$$")
    two.sql("CREATE CONSTRAINT TRIGGER planted AFTER INSERT ON agenda.appointment DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION agenda.planted()")
    try:
        with proxy.cutting("booking_write_requests", "under way"):
            told = booking.ask(0)
    finally:
        two.sql("DROP FUNCTION agenda.planted() CASCADE")
    booking.is_one(told)


@contextmanager
def no_standby(stack):
    """Commits wait for a standby that does not exist; gives a function that has one waiting session of a user give up."""
    admin = psycopg2.connect(stack.env["DATABASE_URL"], user="postgres")
    admin.autocommit = True
    cursor = admin.cursor()

    def names(text):
        cursor.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{text}'")
        cursor.execute("SELECT pg_reload_conf()")

    def give_up(user):
        def one_waits():
            cursor.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                           " WHERE usename = %s AND wait_event = 'SyncRep' LIMIT 1", (user,))
            return cursor.fetchall() == [(True,)]
        wait_until(one_waits, 5, "a commit waits for a standby")
    names("ANY 1 (nobody)")
    try:
        yield give_up
    finally:
        names("")
        admin.close()


def test_a_booking_that_is_committed_here_alone_is_told_to_nobody_until_a_standby_has_it(two):
    booking = Booking(two)
    with no_standby(two) as give_up, ThreadPoolExecutor() as pool:
        first = pool.submit(booking.ask, 0, "wait=3")
        give_up("healthmed_booking")
        told = first.result()
        assert two.sql("SELECT count(*) FROM agenda.appointment WHERE slot_id = %s", booking.slot) == [(1,)]
        copy = booking.ask(1, "wait=1")         # nor to a copy of it
    assert [a.status for a in (told, copy)] == [202, 202], (told, copy)
    booking.is_one()


def test_a_registration_that_is_committed_here_alone_is_unknown_and_the_key_tells(two):
    registration = Registration(two)
    with no_standby(two) as give_up, ThreadPoolExecutor() as pool:
        first = pool.submit(registration.ask, 0)
        give_up("healthmed_users")
        told = first.result()
        assert two.sql("SELECT count(*) FROM users.account WHERE email = %s", registration.body["email"]) == [(1,)]
    registration.is_one(told)


def test_a_command_that_was_never_acknowledged_is_unknown_and_another_gateway_tells(two):
    booking = Booking(two)
    two.stop("actor-booking")
    try:
        with two.nats() as nats:
            config = nats.js("STREAM.INFO.BOOKING")["config"]
            nats.js("STREAM.UPDATE.BOOKING", **{**config, "no_ack": True})
            try:
                told = booking.ask(0, "wait=1")
            finally:
                nats.js("STREAM.UPDATE.BOOKING", **config)
        assert (told.status, told.code) == (504, "outcome_unknown"), told
    finally:
        two.start("actor-booking")
    booking.is_one(told)


def test_a_gateway_that_is_killed_while_it_waits_leaves_the_outcome_to_another(two):
    booking = Booking(two)
    two.stop("actor-booking")
    try:
        with ThreadPoolExecutor() as pool:
            first = pool.submit(booking.ask, 0, "wait=20")
            wait_until(lambda: two.metric("gateway", "http_waiting") == 1, 5, "it waits")
            two.kill("gateway")
            assert isinstance(first.exception(), (OSError, http.client.HTTPException)), "nothing was answered"
    finally:
        two.start("actor-booking")
        two.start("gateway")
    booking.is_one()
