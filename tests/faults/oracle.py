"""The one oracle: holds the journal of a load against database and stream.

    verdict = judge(load)       # after the load has ended and all is whole again
    assert not verdict.found, verdict

What it looks for, each a list of sentences:
- lost: what was told as done and is not there as it was told; a wish without an outcome; a request of the stream
  without one.
- doubled: an effect that no single wish explains; a slot or a patient in two appointments at once; two outcomes.
- order: a refusal for a reason that did not exist, a grant of what was held, a verdict that no rule knows; whoever
  came first was not served first.

The journal knows of each change when it was asked for first and when its outcome was heard: it became true between
the two.  What follows from that alone is checked here; that within a doctor the order of the stream decided, and
that each blocker was live, `healthmed verify` proves from stream and database.
"""
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

from load import HOPELESS, REFUSALS, ask_once
from stack import wait_until

KIND_OF_CHECK = {                               # the checks of `healthmed verify`
    "cursor beyond the stream": "lost", "lost requests": "lost", "cursor ahead of the work": "lost",
    "booked, and not there": "lost", "ended, and goes on": "lost",
    "there, and never asked for": "doubled", "two outcomes": "doubled", "slot booked twice": "doubled",
    "patient in two places": "doubled", "freed, and nobody asked": "doubled",
    "queue jumped": "order", "refused for a false reason": "order", "refused for another slot": "order",
}
AGAIN = 150                                     # wishes that are asked for once more, afterwards


class Verdict:
    def __init__(self):
        self.lost, self.doubled, self.order = [], [], []
        self.requests = self.accepted = 0

    @property
    def found(self):
        return self.lost + self.doubled + self.order

    def __str__(self):
        return "\n".join(f"{kind}: {text}" for kind in ("lost", "doubled", "order") for text in getattr(self, kind)[:12])


class Hold:
    """An appointment has a slot, from some moment of the wish `grant` to one of the wish `free`."""

    def __init__(self, grant, appointment, times):
        self.grant, self.free, self.appointment = grant, None, appointment
        self.patient, self.slot, (self.starts, self.ends) = grant.who.id, grant.slot, times

    def may(self, begun, ended):
        """Whether it can have been so at some time between."""
        return self.grant.begun <= ended and (self.free is None or self.free.ended >= begun)

    def must(self, begun, ended):
        """Whether it was so all the time between."""
        return self.grant.ended < begun and (self.free is None or self.free.begun > ended)

    def overlaps(self, times):
        return self.starts < times[1] and times[0] < self.ends


def judge(load):
    v = Verdict()
    changes = [w for w in load.journal if w.method != "GET"]
    v.requests = sum(len(w.tries) + len(w.polls) for w in load.journal)
    v.accepted = sum(w.granted for w in changes)
    lives = _lives(changes)
    holds = _holds(load, lives)
    _outcomes(v, changes)
    _verify(v, load.stack)
    _holdings(v, load, holds)
    _appointments(v, load, lives)
    _slots(v, load, changes)
    _counts(v, load, changes)
    _letters(v, load)
    _overlaps(v, load)
    _grants(v, holds)
    _refusals(v, load, changes, holds)
    _again(v, load, changes)
    return v


def _lives(changes):
    """The wishes that were granted about each appointment, in the order in which that was heard; what ends it comes
    last, also when somebody had to ask again and heard later of what came before."""
    lives = defaultdict(list)
    for w in sorted((w for w in changes if w.granted), key=lambda w: (w.verb in ("cancel", "decline"), w.ended)):
        if w.verb in ("book", "reschedule", "cancel", "confirm", "decline"):
            lives[w.appointment or w.told.json["id"]].append(w)
    return lives


def _holds(load, lives):
    """When which slot was held, as far as the journal knows; who moves to where he is holds on."""
    holds = []
    for appointment, wishes in lives.items():
        hold = None
        for w in wishes:
            if w.verb == "confirm" or w.verb == "reschedule" and hold is not None and w.slot == hold.slot:
                continue
            if hold is not None:
                hold.free = w
            hold = None if w.verb in ("cancel", "decline") else Hold(w, appointment, load.times[w.slot])
            if hold is not None:
                holds.append(hold)
    return holds


def _outcomes(v, changes):
    """Every wish has an outcome that rules know, and whoever asked for it in between was told nothing else."""
    for w in changes:
        if w.told is None:
            v.lost.append(f"no outcome of {w}: {w.tries[-4:]}")
            continue
        if w.verb in HOPELESS and w.granted or not w.granted and w.told.code not in REFUSALS[w.verb]:
            v.order.append(f"no such outcome: {w} {w.told.json}")
        for status, code, appointment in w.polls:
            same = w.granted if status in ("booked", "done") else status == "rejected" and code == w.told.code
            if not same or w.verb == "book" and w.granted and appointment != w.told.json["id"]:
                v.doubled.append(f"{w} was {status} {code} {appointment} to who asked what became of it")


def _verify(v, stack):
    """`healthmed verify`, when nothing is pending any more."""
    def done():
        return stack.healthmed("verify", check=False)

    def settled():
        told = done()
        return told if told.returncode in (0, 1) and " 0 pending" in told.stdout else None
    try:
        told = wait_until(settled, 30, "nothing is pending")
    except AssertionError:
        told = done()
        v.lost.append(f"something stays pending: {told.stdout.splitlines()[-1:]} {told.stderr}")
    check = None
    for line in told.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("ok", "FAIL"):
            check = rest.strip()
        elif line.startswith("     "):
            getattr(v, KIND_OF_CHECK[check]).append(f"verify, {check}: {line.strip()}")


def _holdings(v, load, holds):
    """Every slot that was told as granted was, once, to that patient, as that appointment."""
    held = Counter(load.stack.sql("SELECT patient_id, slot_id, appointment_id FROM agenda.holding"
                                  " WHERE patient_id = ANY (%s)", load.users))
    told = Counter([load.fixed, *((h.patient, h.slot, h.appointment) for h in holds)])
    v.lost += [f"patient, slot and appointment {what}: told, and not there" for what in (told - held).elements()]
    v.doubled += [f"patient, slot and appointment {what}: there, and told to nobody" for what in (held - told).elements()]


def _appointments(v, load, lives):
    """Each is in the state, and at the place, where what was told last leaves it."""
    there = {id: row for id, *row in load.stack.sql(
        "SELECT id, status::text, slot_id, doctor_id, patient_id FROM agenda.appointment WHERE patient_id = ANY (%s)", load.users)}
    for id, wishes in lives.items():
        placed = [w for w in wishes if w.verb in ("book", "reschedule")][-1:]
        if id not in there or not placed:
            continue                            # said already: what it held is not there, or was told to nobody
        status, *place = there[id]
        (placed,), last, ended = placed, wishes[-1], [w for w in wishes if w.verb in ("cancel", "decline")]
        if ended and status != "cancelled":
            v.lost.append(f"appointment {id} is {status} after {ended[0]}")
        elif not ended and status == "cancelled":
            v.doubled.append(f"appointment {id} is cancelled, and nobody was told so")
        elif not ended and last.verb == "confirm" and last.begun > placed.ended and status != "confirmed":
            v.lost.append(f"appointment {id} is {status} after {last}")
        if place != [placed.slot, placed.doctor, placed.who.id]:
            v.lost.append(f"appointment {id} has slot, doctor and patient {place}, after {placed}")


def _slots(v, load, changes):
    """What doctors opened is there, until they dropped it."""
    there = dict(load.stack.sql("SELECT id, doctor_id FROM agenda.slot WHERE doctor_id = ANY (%s)", load.users))
    dropped = {w.slot for w in changes if w.granted and w.verb == "drop"}
    for w in changes:
        if w.granted and w.verb == "open" and w.told.json["id"] not in dropped and there.get(w.told.json["id"]) != w.doctor:
            v.lost.append(f"slot {w.told.json['id']} is not there: {w}")
    v.lost += [f"slot {id} is there, though it was dropped" for id in dropped & set(there)]


def _counts(v, load, changes):
    """As many requests of each were done as were told so."""
    done = load.done() - load.done_before
    told = Counter(w.who.id for w in changes if w.granted)
    v.lost += [f"user {user} was told more than was done, by {n}" for user, n in (told - done).items()]
    v.doubled += [f"for user {user} more was done than told, by {n}" for user, n in (done - told).items()]


def _letters(v, load):
    """Nothing was taken for poison but what was: whoever asks again would not notice."""
    more = load.letters() - load.letters_before - load.poisoned
    if more:
        v.order.append(f"{more} commands were set aside as not storable")


def _overlaps(v, load):
    sql = load.stack.sql
    for pair in sql("SELECT a.id, b.id FROM agenda.appointment a JOIN agenda.appointment b ON a.id < b.id"
                    " AND (a.slot_id = b.slot_id OR a.patient_id = b.patient_id AND a.starts < b.ends AND b.starts < a.ends)"
                    " WHERE a.freed_seq IS NULL AND b.freed_seq IS NULL AND a.patient_id = ANY (%s)", load.users):
        v.doubled.append(f"appointments {pair} are live, of one slot or one patient at one time")
    for pair in sql("SELECT a.id, b.id FROM agenda.slot a JOIN agenda.slot b ON a.doctor_id = b.doctor_id AND a.id < b.id"
                    " AND a.starts < b.ends AND b.starts < a.ends WHERE a.doctor_id = ANY (%s)", load.users):
        v.doubled.append(f"slots {pair} of one doctor overlap")


def _grants(v, holds):
    """Nobody was granted what was surely held, nor to whoever surely had something else at that time."""
    for name in ("slot", "patient"):
        groups = defaultdict(list)
        for h in sorted(holds, key=lambda h: h.grant.begun):
            groups[getattr(h, name)].append(h)
        for group in groups.values():
            held = []                           # what may still be held
            for h in group:
                held = [a for a in held if a.free is None or a.free.begun > h.grant.begun]
                v.doubled += [f"one {name}: {h.grant} was granted while {a.grant} held" for a in held
                              if a.overlaps((h.starts, h.ends)) and a.must(h.grant.begun, h.grant.ended)]
                held.append(h)


def _refusals(v, load, changes, holds):
    """Who was refused because of an appointment: there may have been one; who changed a slot: it may have been free."""
    of_slot, of_patient = defaultdict(list), defaultdict(list)
    for h in holds:
        of_slot[h.slot].append(h)
        of_patient[h.patient].append(h)
    for w in changes:
        if w.told is None:
            continue
        span = w.begun, w.ended
        if w.told.code in ("slot_taken", "slot_booked") and not any(h.may(*span) for h in of_slot[w.slot]):
            v.order.append(f"the slot was free all the time: {w}")
        if w.told.code == "patient_busy" and not any(h.may(*span) and h.overlaps(load.times[w.slot]) for h in of_patient[w.who.id]):
            v.order.append(f"the patient was free all the time: {w}")
        if w.verb in ("edit", "drop") and w.granted and any(h.must(*span) for h in of_slot[w.slot]):
            v.order.append(f"the slot was booked all the time: {w}")


def _again(v, load, changes):
    """Whoever asks once more with his key is told the same, at any gateway: those who had to ask more than once before
    any others.  A doctor is told nothing more of an appointment that has left him."""
    moved = {w.appointment for w in changes if w.verb == "reschedule"}
    rnd = random.Random(len(changes))
    some = sorted((w for w in changes if w.told is not None and not (w.who.role == "doctor" and w.appointment in moved)),
                  key=lambda w: (len(w.tries) == 1, rnd.random()))[:AGAIN]
    with ThreadPoolExecutor(8) as pool:
        tries = pool.map(lambda w: ask_once(w, rnd.choice(load.gateways)), some)
        for w, t in zip(some, tries):
            if (t.status, t.json if w.granted else t.code) != (w.told.status, w.told.json if w.granted else w.told.code):
                v.doubled.append(f"{w} was told {w.told} {w.told.json}, and afterwards {t} {t.json}")
