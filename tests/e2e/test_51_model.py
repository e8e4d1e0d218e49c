"""A thousand random lifecycles by many at once, held against a model: the rules written a second time, in Python.

Every command in the stream is run through the model in the order in which the system says it decided
(batch, then sequence), at the time at which it says so; each verdict and the final state must be the same.
"""
import base64
import random
import threading
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone

import msgpack
import pytest

from stack import Stack, at_once, wait_until

LIFECYCLES, PATIENTS, DOCTORS, SLOTS = 1000, 10, 6, 24
LIVE = {"waiting_for_confirmation", "confirmed", "in_progress"}
MINUTE = 60 * 10**6
STEPS = {                                       # from which state to which, and who
    "booking.start": ("doctor", {"confirmed"}, "in_progress"),
    "booking.conclude": ("doctor", {"in_progress"}, "concluded"),
    "booking.no_show": ("doctor", {"confirmed"}, "no_show"),
}


class Refused(Exception):
    pass


class Model:
    def __init__(self):
        self.slots, self.appointments = {}, {}

    def decide(self, call, doctor, user, role, body, now, outcome):
        """The code of the refusal, or None; `outcome` only gives the numbers of what is new."""
        try:
            getattr(self, call.split(".")[1])(doctor, user, role, body, now, outcome)
        except Refused as e:
            return str(e)
        return None

    # ---- slots ----

    def _overlaps(self, doctor, starts, ends, but=None):
        return any(s["doctor"] == doctor and s["starts"] < ends and starts < s["ends"] and id != but
                   for id, s in self.slots.items())

    def _holder(self, slot):
        return next((a for a in self.appointments.values() if a["slot"] == slot and a["status"] in LIVE), None)

    def open(self, doctor, user, role, body, now, outcome):
        times = [(t, t + body.get("duration_minutes", 60) * MINUTE) for t in body["date_time_available"]]
        for i, (starts, ends) in enumerate(times):
            if starts <= now:
                raise Refused("slot_past")
            if self._overlaps(doctor, starts, ends) or any(s < ends and starts < e for s, e in times[:i]):
                raise Refused("slot_overlap")
        new = outcome.get("slots") or [outcome["slot"]]
        for (starts, ends), slot in zip(times, new):
            self.slots[slot["id"]] = {"doctor": doctor, "starts": starts, "ends": ends, "active": body.get("active", True)}

    def _own_free_slot(self, doctor, user, id):
        slot = self.slots.get(id)
        if slot is None or slot["doctor"] != user:
            raise Refused("not_found")
        if self._holder(id):
            raise Refused("slot_booked")
        return slot

    def edit(self, doctor, user, role, body, now, outcome):
        slot = self._own_free_slot(doctor, user, body["id"])
        starts = body.get("date_time_available", slot["starts"])
        ends = starts + (body["duration_minutes"] * MINUTE if "duration_minutes" in body else slot["ends"] - slot["starts"])
        if starts <= now:
            raise Refused("slot_past")
        if self._overlaps(doctor, starts, ends, body["id"]):
            raise Refused("slot_overlap")
        slot.update(starts=starts, ends=ends, active=body.get("active", slot["active"]))

    def drop(self, doctor, user, role, body, now, outcome):
        self._own_free_slot(doctor, user, body["id"])
        del self.slots[body["id"]]

    # ---- appointments ----

    def _free_slot(self, doctor, user, body, now, but=None):
        slot = self.slots.get(body["schedule_id"])
        if slot is None or slot["doctor"] != doctor:
            raise Refused("not_found")
        if body.get("date_time", slot["starts"]) != slot["starts"]:
            raise Refused("slot_changed")
        if not slot["active"]:
            raise Refused("slot_inactive")
        if slot["starts"] <= now:
            raise Refused("slot_past")
        if self._holder(body["schedule_id"]):
            raise Refused("slot_taken")
        if any(a["patient"] == user and a["status"] in LIVE and a["starts"] < slot["ends"] and slot["starts"] < a["ends"]
               for id, a in self.appointments.items() if id != but):
            raise Refused("patient_busy")
        return {"slot": body["schedule_id"], "doctor": doctor, "starts": slot["starts"], "ends": slot["ends"],
                "status": "waiting_for_confirmation"}

    def book(self, doctor, user, role, body, now, outcome):
        granted = self._free_slot(doctor, user, body, now)
        self.appointments[outcome["appointment"]["id"]] = {**granted, "patient": user, "by": None}

    def _mine(self, doctor, user, role, body, states, former=None):
        a = self.appointments.get(body["id"])
        if a is None or (role != "system" and user != a[role]):
            raise Refused("not_found")
        if a["doctor"] != (former or doctor) or a["status"] not in states:
            raise Refused("invalid_transition")
        return a

    def _not_begun(self, a, role, now):
        if role == "patient" and a["starts"] <= now:
            raise Refused("slot_past")

    def reschedule(self, doctor, user, role, body, now, outcome):
        a = self._mine(doctor, user, role, body, {"waiting_for_confirmation", "confirmed"}, body["former_doctor_id"])
        self._not_begun(a, role, now)
        if (body["schedule_id"], body["doctor_id"]) != (a["slot"], a["doctor"]):
            a.update(self._free_slot(doctor, user, body, now, body["id"]))

    def confirm(self, doctor, user, role, body, now, outcome):
        if not body["confirmed"]:
            return self.cancel(doctor, user, role, body, now, outcome)
        a = self._mine(doctor, user, role, body, {"waiting_for_confirmation"})
        if a["starts"] <= now:
            raise Refused("slot_past")
        a["status"] = "confirmed"

    def cancel(self, doctor, user, role, body, now, outcome):
        a = self._mine(doctor, user, role, body, {"waiting_for_confirmation", "confirmed"})
        self._not_begun(a, role, now)
        a.update(status="cancelled", by=role)

    def expire(self, doctor, user, role, body, now, outcome):
        a = self._mine(doctor, user, role, body, {"waiting_for_confirmation"})
        if a["starts"] > now:
            raise Refused("invalid_transition")
        a.update(status="cancelled", by="system")

    def start(self, *a):
        self._step("booking.start", *a)

    def conclude(self, *a):
        self._step("booking.conclude", *a)

    def no_show(self, *a):
        self._step("booking.no_show", *a)

    def _step(self, call, doctor, user, role, body, now, outcome):
        _, states, to = STEPS[call]
        self._mine(doctor, user, role, body, states)["status"] = to


class World:
    """What patients and doctors know of each other while they act; guesses are welcome."""

    def __init__(self, stack):
        self.stack, self.lock, self.told = stack, threading.Lock(), Counter()
        self.doctors = [stack.doctor() for _ in range(DOCTORS)]
        self.patients = [stack.patient() for _ in range(PATIENTS)]
        self.slots, self.appointments, self.booked, self.over = [], [], 0, False
        self.base = (datetime.now(timezone.utc) + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)

    def note(self, answer):
        """Counts what was told by a mailbox, not by who looks whose an appointment is."""
        with self.lock:
            if answer.status in (409, 422):
                self.told[answer.code] += 1
            assert answer.status in (200, 201, 204, 404, 409, 422), answer
        return answer

    def open(self, doctor, random_of):
        """Slots of several doctors at the same times, some of them soon."""
        soon = random_of.random() < 0.15
        at = datetime.now(timezone.utc) + timedelta(seconds=random_of.randint(2, 8)) if soon else \
            self.base + timedelta(minutes=15 * random_of.randint(0, 3 * SLOTS))
        answer = self.note(self.stack.post("/schedules", doctor, date_time_available=at.replace(microsecond=0).isoformat(),
                                           duration_minutes=random_of.choice((1,) if soon else (15, 30))))
        if answer.status == 201:
            with self.lock:
                self.slots.append((answer.json["id"], doctor))

    def patient(self, i):
        who, of = self.patients[i], random.Random(i)
        while self.booked < LIFECYCLES:
            slot, doctor = of.choice(self.slots)
            answer = self.note(self.stack.post("/appointments", who, schedule_id=slot, doctor_id=doctor.id))
            if answer.status != 201:
                continue
            id = answer.json["id"]
            with self.lock:
                self.appointments.append((id, who))
                self.booked += 1
            while of.random() < 0.4:
                slot, doctor = of.choice(self.slots)
                self.note(self.stack.http("PUT", f"/appointments/{id}", {"schedule_id": slot, "doctor_id": doctor.id}, who))
            if of.random() < 0.5:
                self.note(self.stack.post(f"/appointments/{id}/cancel", who, reason="changed my mind"))

    def doctor(self, i):
        who, of = self.doctors[i], random.Random(1000 + i)
        while not self.over:
            if of.random() < 0.4 or not self.appointments:
                self._agenda(who, of)
                continue
            mine = [a["id"] for a in self.stack.get("/appointments?limit=100&status=" + of.choice(
                ("waiting_for_confirmation", "waiting_for_confirmation", "confirmed", "in_progress")), who).json]
            for id in of.sample(mine, min(len(mine), 6)) + [of.choice(self.appointments)[0]]:
                what = of.choice(("confirm", "confirm", "start", "start", "conclude", "conclude", "no-show", "cancel"))
                self.note(self.stack.post(f"/appointments/{id}/{what}", who, confirmed=of.random() < 0.8, reason="ill"))

    def _agenda(self, who, of):
        slot = of.choice([s for s, whose in list(self.slots) if whose is who or of.random() < 0.1])
        what = of.random()
        if what < 0.5:
            self.open(who, of)
        elif what < 0.8:
            body = of.choice(({"active": of.random() < 0.8}, {"duration_minutes": of.choice((15, 30, 45))}, {
                "date_time_available": (self.base + timedelta(minutes=15 * of.randint(0, 3 * SLOTS))).isoformat()}))
            self.note(self.stack.http("PUT", f"/schedules/{slot}", body, who))
        else:
            self.note(self.stack.http("DELETE", f"/schedules/{slot}", token=who))

    def live(self):
        for doctor in self.doctors:
            of = random.Random(doctor.id)
            for _ in range(SLOTS):
                self.open(doctor, of)
        ends = []

        def act(i):
            if i < DOCTORS:
                return self.doctor(i)
            try:
                return self.patient(i - DOCTORS)
            finally:
                with self.lock:
                    ends.append(i)
                    self.over = len(ends) == PATIENTS

        results = at_once(DOCTORS + PATIENTS, act)
        assert results == [None] * len(results), results

    def leave_one_unconfirmed(self):
        """Chance may have left none."""
        doctor, patient = self.stack.doctor(), self.stack.patient()
        at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=4)
        slot = self.note(self.stack.post("/schedules", doctor, date_time_available=at.isoformat(), duration_minutes=1)).json["id"]
        booked = self.note(self.stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id))
        assert booked.status == 201, booked
        path = f"/appointments/{booked.json['id']}"
        wait_until(lambda: self.stack.get(path, patient).json["status"] == "cancelled", 30, "it has expired")


def commands(stack):
    """sequence -> everything a command says, of the whole stream."""
    found = {}
    with stack.nats() as nats:
        state = nats.js("STREAM.INFO.BOOKING")["state"]
        for seq in range(state["first_seq"], state["last_seq"] + 1):
            m = nats.message("BOOKING", seq)
            raw = base64.urlsafe_b64decode(m.headers["Healthmed-Request"] + "=")
            found[seq] = {"call": m.headers["Healthmed-Call"], "doctor": int(m.subject.split(".")[4]),
                          "role": m.headers["Healthmed-Role"], "user": int(m.headers.get("Healthmed-User", 0)),
                          "nonce": str(uuid.UUID(bytes=raw[8:24])), "body": msgpack.unpackb(m.data)}
    return found


@pytest.mark.slow
def test_a_thousand_lives_at_once_go_as_the_model_says():
    with Stack("--gateways", "2", "--workers", "2") as stack:
        world = World(stack)
        world.live()
        world.leave_one_unconfirmed()
        wait_until(lambda: stack.sql("SELECT count(*) FROM agenda.appointment"
                                     " WHERE status = 'waiting_for_confirmation' AND starts <= now()") == [(0,)], 30,
                   "what nobody confirmed has expired")
        said, model, verdicts, calls = commands(stack), Model(), Counter(), Counter()
        rows = stack.sql("SELECT id::text, stream_seq, code, outcome, (extract(epoch FROM decided_at) * 1000000)::bigint"
                         "  FROM agenda.request ORDER BY batch_id, stream_seq")
        for nonce, seq, code, outcome, now in rows:
            c = said[seq]
            assert c["nonce"] == nonce
            verdict = model.decide(c["call"], c["doctor"], c["user"], c["role"], c["body"], now, msgpack.unpackb(bytes(outcome)))
            assert verdict == code, (seq, c, verdict, code)
            calls[c["call"], code] += 1
            if code is not None and c["user"] and code != "not_found":
                verdicts[code] += 1

        us = "(extract(epoch FROM {}) * 1000000)::bigint"
        assert {id: {"slot": s, "doctor": d, "patient": p, "status": st, "by": by, "starts": a, "ends": b}
                for id, s, d, p, st, by, a, b in stack.sql(
                    "SELECT id, slot_id, doctor_id, patient_id, status::text, cancelled_by, "
                    f"{us.format('starts')}, {us.format('ends')} FROM agenda.appointment")} == model.appointments
        assert {id: {"doctor": d, "starts": a, "ends": b, "active": active} for id, d, a, b, active in stack.sql(
            f"SELECT id, doctor_id, {us.format('starts')}, {us.format('ends')}, active FROM agenda.slot")} == model.slots
        assert verdicts == world.told           # and everybody was told just that
        done = {call for call, code in calls if code is None}
        assert done >= {f"booking.{v}" for v in ("open", "edit", "drop", "book", "reschedule", "confirm", "cancel", "start",
                                                 "conclude", "no_show", "expire")}, sorted(done)
        assert calls["booking.book", None] >= LIFECYCLES
        stack.verify()
