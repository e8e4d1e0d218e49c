"""A load of mixed lives that keeps a journal of all it asks and hears; oracle.py judges that.

Everybody behaves as a client should: a change has an Idempotency-Key, and whoever is told nothing, 202, 429,
503 or 504 asks again with the same key, at any gateway, until there is an outcome.  Some ask for what must be
refused.  Each load has doctors and patients of its own.

The longest gap.  Answers come on lanes: one a domain that is read, one a doctor who is much in demand.  On each
lane several ask, independently, ten times a second and more together, so that those who wait for an answer that
the fault took with it (they are stuck at it, and end by their deadline) do not keep the others from asking.  The
gap is the longest time in which nobody on some lane was answered well, which is: with an outcome.
"""
import contextlib
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from urllib.parse import urlsplit

from stack import wait_until

HOT, QUIET, SLOTS, MINUTES = 4, 8, 48, 10       # doctors, slots of each, and how long one is
KEPT = 2                                        # of the slots, the last ones, for what scenarios do
PAUSE = (0.04, 0.12)                            # of somebody between two wishes
PATIENCE = 60                                   # until a wish that has no outcome counts as lost
TIMEOUT = 12                                    # of one try: the gateway's own deadlines are shorter
PARTITIONS = 16

# verb: which refusals there may be.  What is in none of these rows is a verdict that no rule knows.
REFUSALS = {
    "book":         {"slot_taken", "patient_busy"},
    "reschedule":   {"slot_taken", "patient_busy", "invalid_transition"},
    "cancel":       {"invalid_transition"},
    "confirm":      {"invalid_transition", "not_found"},    # cancelled, or moved to another doctor, meanwhile
    "decline":      {"invalid_transition", "not_found"},
    "open":         {"slot_overlap"},
    "edit":         {"slot_booked"},
    "drop":         set(),                                  # only what nobody knows of
    # Wishes that must be refused, whatever happens.
    "conclude":     {"invalid_transition", "not_found"},    # of what is not in progress
    "book_foreign": {"not_found"},                          # a slot of another doctor
    "book_past":    {"slot_past"},
    "book_reused":  {"key_reused"},                         # the key of another wish
    "move_reported": {"has_report"},
}
HOPELESS = {"conclude", "book_foreign", "book_past", "book_reused", "move_reported"}
EFFECT = {"book": 201, "open": 201, "drop": 204}            # the status of success; of all others 200

READS = {                                                   # domain: what of it is read
    "users": "/users/doctors/{doctor}", "schedules": "/doctors/{doctor}/slots", "appointments": "/appointments",
    "reviews": "/users/me/reviews", "files": "/files", "reports": "/appointments/{visit}/medical-reports",
}


def partition_of(doctor):
    """As broker/partition.c reckons it."""
    h = doctor
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 1):
        h = (h ^ h >> 33) * factor % 2**64
    return h % PARTITIONS


class Try:
    """One time of asking, and what was heard; status 0: nothing."""
    __slots__ = ("gateway", "sent", "heard", "wall", "status", "json", "error")

    def __init__(self, gateway):
        self.gateway, self.sent, self.wall = gateway, time.monotonic(), time.time()
        self.heard, self.status, self.json, self.error = None, 0, None, None

    @property
    def code(self):
        return self.json.get("code") if self.status >= 400 and isinstance(self.json, dict) else None

    @property
    def is_final(self):
        return self.status not in (0, 202, 408, 429) and (self.status < 500 or self.code == "failed")

    def __repr__(self):
        return f"{self.status or self.error} {self.code or ''}".strip()


class Wish:
    """What somebody wants, under one key, however often he has to ask for it."""
    __slots__ = ("who", "verb", "method", "path", "body", "key", "lane", "slot", "doctor", "appointment",
                 "tries", "polls", "told")

    def __init__(self, who, verb, method, path, body=None, lane=None, slot=None, doctor=None, appointment=None):
        self.who, self.verb, self.method, self.path, self.body = who, verb, method, path, body
        self.key = None if method == "GET" else str(uuid.uuid4())
        self.lane, self.slot, self.doctor, self.appointment = lane, slot, doctor, appointment
        self.tries, self.polls, self.told = [], [], None    # told: the final try

    @property
    def begun(self):
        return self.tries[0].sent

    @property
    def ended(self):
        return self.told.heard

    @property
    def granted(self):
        return self.told is not None and self.told.status == EFFECT.get(self.verb, 200)

    def __repr__(self):
        return f"{self.verb} {self.path} of {self.who.role} {self.who.id} under {self.key}: {self.told}"

    def journal(self):
        """For a file, as JSON."""
        return {"who": f"{self.who.role} {self.who.id}", "verb": self.verb, "request": f"{self.method} {self.path}",
                "body": self.body, "key": self.key, "lane": self.lane, "polls": self.polls,
                "tries": [{name: getattr(t, name) for name in Try.__slots__} for t in self.tries]}


class Who:
    def __init__(self, role, id, token):
        self.role, self.id, self.token = role, id, token


class Asker:
    """Sends wishes over connections that it keeps; of one thread alone."""

    def __init__(self):
        self.connections = {}

    def send(self, w, gateway, n=0):
        """Begins a try on the n-th connection to that gateway."""
        t = Try(gateway)
        headers, body = {"Authorization": f"Bearer {w.who.token}"}, None
        if w.key is not None:
            headers.update({"Idempotency-Key": w.key, "Prefer": "wait=1"})
        if w.body is not None:
            body = json.dumps(w.body).encode()
            headers["Content-Type"] = "application/json"
        for kept in (True, False):              # one that was kept may have been closed meanwhile
            try:
                self.connection(gateway, n, kept).request(w.method, "/api/v1" + w.path, body, headers)
                t.error = None
                break
            except (OSError, http.client.HTTPException) as e:
                t.error = repr(e)
        return t

    def hear(self, t, n=0):
        """Ends it."""
        if t.error is None:
            try:
                response = self.connections[t.gateway, n].getresponse()
                body = response.read()
                t.json, t.status = json.loads(body) if body else None, response.status
            except (OSError, http.client.HTTPException, ValueError) as e:
                t.error = repr(e)
                self.connection(t.gateway, n, kept=False)
        t.heard = time.monotonic()
        return t

    def connection(self, gateway, n, kept):
        connection = self.connections.get((gateway, n))
        if connection is None or not kept:
            if connection is not None:
                connection.close()
            at = urlsplit(gateway)
            connection = self.connections[gateway, n] = http.client.HTTPConnection(at.hostname, at.port, timeout=TIMEOUT)
        return connection

    def close(self):
        for connection in self.connections.values():
            connection.close()


def ask_once(w, gateway):
    """Asks for it by a connection of its own, outside the journal."""
    asker = Asker()
    try:
        return asker.hear(asker.send(w, gateway))
    finally:
        asker.close()


class Client(threading.Thread):
    """One of the load: does what `life` yields wishes for, and is sent them back with what was told."""

    def __init__(self, load, life):
        super().__init__(daemon=True)
        self.load, self.random, self.asker = load, random.Random(load.random.random()), Asker()
        self.life, self.turn = life(self), threading.Lock()

    def run(self):
        wishes = next(self.life)
        while not self.load.stopped.wait(self.random.uniform(*PAUSE)):
            with self.turn:
                wishes = self.life.send(self.fulfil(wishes))
        self.asker.close()

    def fulfil(self, wishes):
        """Sends the first tries of all before it hears of any: those of several come at once."""
        self.load.keep(wishes)
        for i, w in enumerate(wishes):
            w.tries.append(self.asker.send(w, self.load.front, i))
        for i, w in enumerate(wishes):
            self.asker.hear(w.tries[0], i)
        for w in wishes:
            self.finish(w)
        return wishes

    def finish(self, w):
        """Asks until there is an outcome; for a read, once."""
        while not w.tries[-1].is_final:
            if w.method == "GET" or time.monotonic() > self.load.until:
                return
            time.sleep(self.random.uniform(0.02, 0.2))
            if w.tries[-1].status == 202 and self.random.random() < 0.5:
                self.poll(w)
            gateway = self.random.choice(self.load.gateways)
            w.tries.append(self.asker.hear(self.asker.send(w, gateway)))
        w.told = w.tries[-1]
        self.load.heard_on(w.lane, w.told.heard)

    def poll(self, w):
        """Asks what became of a pending request; what is heard must agree with what is told at last."""
        path = f"/appointments/requests/{w.tries[-1].json['request_id']}"
        gateway = self.random.choice(self.load.gateways)
        t = self.asker.hear(self.asker.send(Wish(w.who, "poll", "GET", path), gateway))
        if t.status == 200 and t.json["status"] != "pending":
            w.polls.append((t.json["status"], t.json["code"], t.json["appointment_id"]))
        elif t.status == 404:
            w.polls.append(("absent", None, None))

    # ---- lives: each yields lists of wishes, and is sent them back when they have ended ----

    def patient(self, who, doctor):
        """Books with one doctor, cancels, and moves within his agenda or into another's."""
        load, rnd, mine = self.load, self.random, []
        while True:
            what = rnd.random()
            if not mine or what < 0.55:
                (w,) = yield [load.wish_to_book(who, doctor, load.slot(rnd, doctor))]
                if w.granted:
                    mine.append(w.told.json["id"])
                continue
            appointment = rnd.choice(mine)
            if what < 0.8:
                (w,) = yield [Wish(who, "cancel", "POST", f"/appointments/{appointment}/cancel", {"reason": "a cold"},
                                   load.lane(doctor), None, doctor, appointment)]
                mine.remove(appointment)
            else:
                to = doctor if rnd.random() < 0.6 else rnd.choice(load.doctors)
                slot = load.slot(rnd, to)
                (w,) = yield [Wish(who, "reschedule", "PUT", f"/appointments/{appointment}",
                                   {"schedule_id": slot, "doctor_id": to}, load.lane(to), slot, to, appointment)]
                if w.told is not None and w.told.code == "invalid_transition":
                    mine.remove(appointment)    # the doctor has declined

    def doctor(self, who):
        """Confirms and declines, opens, edits and drops slots, and tries what he may not."""
        load, rnd, opened = self.load, self.random, 0
        while True:
            (w,) = yield [Wish(who, "read", "GET", "/appointments?status=waiting_for_confirmation&limit=20", lane="appointments")]
            waiting = [a["id"] for a in w.told.json] if w.told is not None and w.told.status == 200 else []
            for appointment in rnd.sample(waiting, min(2, len(waiting))):
                verb = rnd.choice(("confirm", "confirm", "decline", "conclude"))
                path = f"/appointments/{appointment}/" + ("conclude" if verb == "conclude" else "confirm")
                yield [Wish(who, verb, "POST", path, None if verb == "conclude" else {"confirmed": verb == "confirm"},
                            load.lane(who.id), None, who.id, appointment)]
            slot = load.slot(rnd, who.id)       # as it is: refused when it is booked, else nothing changes
            yield [Wish(who, "edit", "PUT", f"/schedules/{slot}", {"active": True}, load.lane(who.id), slot, who.id)]
            opened += 1
            at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(load.later + 3600 * opened))
            (w,) = yield [Wish(who, "open", "POST", "/schedules", {"date_time_available": at}, load.lane(who.id), None, who.id)]
            if w.granted and rnd.random() < 0.5:
                slot = w.told.json["id"]
                yield [Wish(who, "drop", "DELETE", f"/schedules/{slot}", None, load.lane(who.id), slot, who.id)]

    def rivals(self, who, other, doctor, beside):
        """Two accounts at two doctors of different partitions, in opposite orders, at overlapping times: their
        locks are asked for crosswise, and each may have one of the two."""
        load, rnd = self.load, self.random
        while True:
            i, k = rnd.sample(range(SLOTS - KEPT), 2)
            one, two = load.slots[doctor], load.slots[beside]
            wishes = yield [load.wish_to_book(who, doctor, one[i]), load.wish_to_book(other, beside, two[k]),
                            load.wish_to_book(other, doctor, one[k]), load.wish_to_book(who, beside, two[i])]
            held = [w for w in wishes if w.granted]
            yield [Wish(w.who, "cancel", "POST", f"/appointments/{w.told.json['id']}/cancel", {"reason": "a cold"},
                        w.lane, None, w.doctor, w.told.json["id"]) for w in held]

    def stranger(self, who):
        """Wants what must be refused."""
        load, rnd = self.load, self.random
        while True:
            a, b = rnd.sample(load.doctors, 2)
            yield [load.wish_to_book(who, a, load.slot(rnd, b), "book_foreign")]
            yield [load.wish_to_book(who, load.past[0], load.past[1], "book_past")]
            (first,) = yield [load.wish_to_book(who, a, load.slot(rnd, a))]
            again = load.wish_to_book(who, a, load.slots[a][0] if first.slot != load.slots[a][0] else load.slots[a][1], "book_reused")
            again.key = first.key
            yield [again]
            to = rnd.choice(load.quiet)
            yield [Wish(load.reported[0], "move_reported", "PUT", f"/appointments/{load.reported[1]}",
                        {"schedule_id": load.slot(rnd, to), "doctor_id": to}, load.lane(to), None, to, load.reported[1])]
            if first.granted:
                id = first.told.json["id"]
                yield [Wish(who, "cancel", "POST", f"/appointments/{id}/cancel", {"reason": "a cold"}, first.lane,
                            None, a, id)]

    def reader(self, who):
        load, rnd = self.load, self.random
        while True:
            domain = rnd.choice(list(READS))
            path = READS[domain].format(doctor=rnd.choice(load.doctors), visit=load.reported[1])
            reader = load.reported[0] if domain == "reports" else who
            yield [Wish(reader, "read", "GET", path, lane=domain)]


class Load:
    """with Load(stack) as load: load.go_on(); break something; load.go_on() … then load.journal."""

    def __init__(self, stack, seed=None, patience=PATIENCE):
        self.patience = patience
        self.stack, self.random = stack, random.Random(seed)
        self.front, self.gateways = stack.url, [stack.url, *stack.urls]
        self.stopped, self.until = threading.Event(), float("inf")
        self.journal, self.answers, self.lock = [], {}, threading.Lock()
        self.since = None                       # from when on gaps count
        self._people()
        self._slots()
        self._visit()
        self.users = [p.id for people in self.people.values() for p in people]
        self.done_before, self.letters_before, self.poisoned = self.done(), self.letters(), 0
        self.clients = self._clients()

    def _people(self):
        patients = HOT * 3 + QUIET + 2 + 2 + 6
        made = json.loads(self.stack.seed("--doctors", HOT + QUIET + 2, "--patients", patients, "--slots", SLOTS,
                                          "--minutes", MINUTES))
        first = made["first_doctor"]
        tokens = {r: iter(self.stack.tokens(r, made[f"first_{r}"], made[f"{r}s"], 7200)) for r in ("doctor", "patient")}
        self.people = {r: [Who(r, made[f"first_{r}"] + i, t) for i, t in enumerate(tokens[r])] for r in tokens}
        ids = [first + i for i in range(HOT + QUIET + 2)]
        self.slots = {d: range(made["first_slot"] + i * SLOTS, made["first_slot"] + (i + 1) * SLOTS) for i, d in enumerate(ids)}
        # Those in demand are in different partitions, and even ones and odd ones among those of each half.
        self.hot, self.quiet = [], []
        for d in ids:
            fresh = partition_of(d) not in [partition_of(h) for h in self.hot]
            (self.hot if fresh and len(self.hot) < HOT else self.quiet).append(d)
        apart = next((b for b in self.quiet if partition_of(b) // 8 != partition_of(self.quiet[0]) // 8), self.quiet[1])
        self.rivalled = (self.quiet[0], apart)  # apart, if they can be, also in who owns their partitions
        self.quiet = [d for d in self.quiet if d not in self.rivalled]
        self.doctors = self.hot + self.quiet
        self.later = time.time() // 3600 * 3600 + 30 * 86400    # slots that doctors open begin a month from now

    def _slots(self):
        doctor = self.quiet[0]
        ((past,),) = self.stack.sql("INSERT INTO agenda.slot (doctor_id, starts, ends, created_at, updated_at)"
                                    " VALUES (%s, now() - '1 hour'::interval, now() - '30 min'::interval, now(), now()) RETURNING id", doctor)
        self.past = (doctor, past)
        self.times = {id: (starts, ends) for id, starts, ends in self.stack.sql(
            "SELECT id, starts, ends FROM agenda.slot WHERE doctor_id = ANY (%s)", list(self.slots))}

    def _visit(self):
        """A patient, and an appointment of his about which there is a report."""
        patient, doctor = self.people["patient"][-1], next(d for d in self.people["doctor"] if d.id == self.quiet[-1])

        def post(path, who, **body):    # what has just begun may have no room yet
            return wait_until(lambda: (a := self.stack.post(path, who, **body)).status != 503 and a, 20, "there is room")

        made = post("/appointments", patient, schedule_id=self.slots[doctor.id][-1], doctor_id=doctor.id)
        assert made.status == 201, made
        id = made.json["id"]
        done = [post(f"/appointments/{id}/confirm", doctor, confirmed=True),
                post(f"/appointments/{id}/medical-reports", doctor, comment="in good health")]
        assert [a.status for a in done] == [200, 201], done
        self.reported = (patient, id)
        self.fixed = (patient.id, self.slots[doctor.id][-1], id)

    def _clients(self):
        patients = iter(self.people["patient"])
        doctors = {d.id: d for d in self.people["doctor"]}
        lives = [lambda c, w=next(patients), d=d: c.patient(w, d) for d in self.hot for _ in range(3)]
        lives += [lambda c, w=next(patients), d=d: c.patient(w, d) for d in self.quiet[:3]]
        lives += [lambda c, d=d: c.doctor(doctors[d]) for d in self.hot[:3]]
        pair, stranger = (next(patients), next(patients)), next(patients)
        lives += [lambda c: c.rivals(*pair, *self.rivalled), lambda c: c.stranger(stranger)]
        lives += [lambda c, w=next(patients): c.reader(w) for _ in range(6)]
        return [Client(self, life) for life in lives]

    def __enter__(self):
        self.since = time.monotonic()
        for c in self.clients:
            c.start()
        return self

    def __exit__(self, *_):
        """Nobody wishes any more; what was wished gets its outcome."""
        self.ended = time.monotonic()
        self.until = self.ended + self.patience
        self.stopped.set()
        for c in self.clients:
            c.join()

    # ---- what clients need ----

    def lane(self, doctor):
        return f"doctor {doctor}" if doctor in self.hot else "quiet doctors"

    def slot(self, rnd, doctor):
        return rnd.choice(self.slots[doctor][:SLOTS - KEPT])

    def wish_to_book(self, who, doctor, slot, verb="book"):
        return Wish(who, verb, "POST", "/appointments", {"schedule_id": slot, "doctor_id": doctor},
                    self.lane(doctor), slot, doctor)

    def keep(self, wishes):
        with self.lock:
            self.journal += wishes

    def heard_on(self, lane, at):
        with self.lock:
            self.answers.setdefault(lane, []).append(at)

    def done(self):
        """How many requests of each were done, says the database."""
        return Counter(dict(self.stack.sql("SELECT user_id, count(*) FROM agenda.request WHERE status IN ('booked', 'done')"
                                           " AND user_id = ANY (%s) GROUP BY user_id", self.users)))

    def letters(self):
        """How many commands the database refused to store."""
        return self.stack.sql("SELECT count(*) FROM agenda.dead_letter WHERE code = 'not storable'")[0][0]

    # ---- what scenarios need ----

    def fulfil(self, *wishes):
        """Somebody beside the clients has these wishes, all at once."""
        somebody = Client(self, lambda _: None)
        somebody.fulfil(wishes)
        somebody.asker.close()

    @contextlib.contextmanager
    def hushed(self):
        """Within the block the clients have no wishes, and all that they had are fulfilled; then gaps count anew."""
        with contextlib.ExitStack() as turns:
            for c in self.clients:
                turns.enter_context(c.turn)
            yield
        self.mark()

    def mark(self):
        """Gaps count from here on."""
        self.since = time.monotonic()

    def lanes(self):
        return [self.lane(d) for d in self.hot] + list(READS)

    def go_on(self, times=15, seconds=45, lanes=None):
        """Returns when each lane (or these) has been answered so often from now on."""
        begun = time.monotonic()

        def silent():
            with self.lock:
                return [lane for lane in lanes or self.lanes()
                        if sum(at > begun for at in self.answers.get(lane, [])[-200:]) < times]
        try:
            wait_until(lambda: not silent(), seconds)
        except AssertionError:
            raise AssertionError(f"after {seconds} s too few are answered on {', '.join(silent())}") from None

    def lanes_alive(self, seconds):
        """Those on which somebody was answered lately."""
        with self.lock:
            return [lane for lane in self.lanes() if self.answers.get(lane, [0])[-1] > time.monotonic() - seconds]

    def gap(self):
        """The longest one, in seconds, and its lane: see above."""
        worst = (0.0, "")
        for lane in self.lanes():
            at = sorted(t for t in self.answers.get(lane, []) if self.since < t < self.ended)
            for a, b in zip([self.since, *at], [*at, self.ended]):
                worst = max(worst, (b - a, lane))
        return worst
