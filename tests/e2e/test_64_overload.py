"""More than can be served: a few wait, the others hear so at once, and whoever asks for something else is served."""
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest

from stack import Stack, at_once, wait_until

pytestmark = pytest.mark.alone
THREADS = 32


@pytest.fixture(scope="module")
def own():
    """A stack whose gateway has few threads."""
    with Stack(HEALTHMED_GATEWAY_THREADS=str(THREADS)) as stack:
        yield stack


def book(stack, patient, slot, doctor, prefer=None):
    return stack.post("/appointments", patient, headers={"Prefer": prefer} if prefer else {}, schedule_id=slot,
                      doctor_id=doctor.id)


def status(stack, request_id, patient):
    def decided():
        told = stack.get(f"/appointments/requests/{request_id}", patient).json["status"]
        return told != "pending" and told
    return wait_until(decided, 10, f"{request_id} is decided")


@contextmanager
def readers(stack, path, token, count=2):
    """Some who read one after the other for as long as the block; a list of their answers."""
    answers, end = [], threading.Event()

    def read():
        while not end.is_set():
            answers.append(stack.get(path, token))
    threads = [threading.Thread(target=read) for _ in range(count)]
    for t in threads:
        t.start()
    try:
        yield answers
    finally:
        end.set()
        for t in threads:
            t.join()


@contextmanager
def frozen(stack, name):
    os.kill(stack.pid(name), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.pid(name), signal.SIGCONT)


def test_while_nothing_is_decided_half_of_the_threads_wait_and_reads_go_on(own):
    many = THREADS - 6
    doctor, slots = own.doctor_with_slots(many, minutes=10)
    people = [own.patient() for _ in range(many)]
    reader = own.patient()
    own.stop("actor-booking")
    try:
        before = own.metric("gateway", "http_crowded_total")
        with ThreadPoolExecutor(many) as pool, readers(own, "/users/me", reader) as reads:
            asked = [pool.submit(book, own, p, s, doctor, "wait=5") for p, s in zip(people, slots)]
            wait_until(lambda: sum(a.done() for a in asked) == many - THREADS // 2, 4, "the others need not wait")
            seen = len(reads)
            wait_until(lambda: len(reads) >= seen + 20, 4, "reads go on")
            assert sum(a.done() for a in asked) == many - THREADS // 2, "all that while"
            answers = [a.result() for a in asked]
        assert own.metric("gateway", "http_crowded_total") - before == many - THREADS // 2
    finally:
        own.start("actor-booking")
    assert {a.status for a in reads} == {200}
    assert {a.status for a in answers} == {202}
    assert {status(own, a.json["request_id"], p) for a, p in zip(answers, people)} == {"booked"}
    own.verify()


def test_a_mailbox_that_is_behind_is_waited_for_by_nobody_who_comes_later(own):
    """Its owner waits for a lock that the test holds; the first to wait is still waiting when the others have their answers."""
    doctor, slots = own.doctor_with_slots(5)
    first, *others = [own.patient() for _ in range(5)]
    connection = psycopg2.connect(own.env["DATABASE_URL"])
    try:
        connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (first.id,))
        with ThreadPoolExecutor() as pool:
            waits = pool.submit(book, own, first, slots[0], doctor)
            wait_until(lambda: own.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
                                       first.id), 5, "the owner waits for the lock")
            accepted = [(others[0], book(own, others[0], slots[1], doctor, "wait=1"))]      # a second passes
            accepted += [(p, book(own, p, s, doctor)) for p, s in zip(others[1:], slots[2:])]
            assert not waits.done(), "all were answered before the first one"
            connection.rollback()
            assert waits.result().status == 201
    finally:
        connection.close()
    assert {a.status for _, a in accepted} == {202}
    assert {status(own, a.json["request_id"], p) for p, a in accepted} == {"booked"}
    again = book(own, others[0], slots[0], doctor)
    assert (again.status, again.code) == (409, "slot_taken"), "it is waited for again"
    own.verify()


def test_a_domain_that_hangs_is_refused_at_once_and_the_others_go_on(own):
    patient = own.patient()
    many = THREADS - 6
    wait_until(lambda: own.get("/appointments", patient).status == 200, 5, "it was quick the last time")
    with frozen(own, "actor-appointments"), readers(own, "/users/me", patient) as reads, ThreadPoolExecutor(many) as pool:
        still = time.monotonic() + 0.2          # what has answered within the last tenth of a second flows
        wait_until(lambda: time.monotonic() > still, 1, "nothing flows")
        asked = [pool.submit(own.get, "/appointments", patient) for _ in range(many)]
        wait_until(lambda: sum(a.done() for a in asked) == many - THREADS // 2, 5, "half of the threads wait, the others are told")
        early = [a.result() for a in asked if a.done()]
        seen = len(reads)
        wait_until(lambda: len(reads) >= seen + 20, 4, "reads go on")
        answers = [a.result() for a in asked]
    assert {(a.status, a.code) for a in early} == {(503, "unavailable")}
    assert all(int(a.headers["Retry-After"]) >= 1 for a in early)
    assert Counter(a.status for a in answers) == {503: many - THREADS // 2, 504: THREADS // 2}
    assert {a.status for a in reads} == {200}
    wait_until(lambda: own.get("/appointments", patient).status == 200, 5, "it is served again")


def test_of_three_times_as_many_connections_as_threads_all_are_served(own):
    """Each keeps its connection; those that nobody uses just then give way."""
    patient = own.patient()
    answers = at_once(3 * THREADS, lambda i: [own.get("/users/me", patient) for _ in range(3)])
    assert all(isinstance(a, list) for a in answers), answers
    assert Counter(a.status for all_of_one in answers for a in all_of_one) == {200: 9 * THREADS}
