"""measure.py - runs one scenario against a private stack, and says what was found; see run.

Must not judge, nor say how it is shown.
"""
import http.client
import itertools
import json
import math
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import scenario as scenarios
from harness import Broken, cpu_by_process, machine, memory_by_process, say, sql

PASSWORD = "load-test-1"
SESSIONS = 200          # that are refreshed in turn
PER_PROCESS = 10000     # connections of one generator process: files are limited
SPECIALTIES = ("Cardiologia Dermatologia Pediatria Ortopedia Ginecologia Oftalmologia Psiquiatria Neurologia "
               "Endocrinologia Clínica+Geral Urologia Otorrinolaringologia").split()
CITIES = ("São+Paulo", "Rio+de+Janeiro", "Belo+Horizonte", "Salvador", "Fortaleza", "Curitiba", "Manaus", "Recife",
          "Porto+Alegre", "Goiânia", "Belém", "Florianópolis")
NAMES = "Ana Maria João José Antônio Carlos Paulo Pedro Lucas Juliana Mariana Beatriz".split()


def filters():
    """What patients look for, by how much it is wanted: a specialty, one in their city, a name."""
    plain = [f"specialty={s}" for s in SPECIALTIES]
    near = [f"specialty={s}&city={c}&sort={o}" for (s, c), o in
            zip(itertools.product(SPECIALTIES, CITIES), itertools.cycle(("next_slot", "price", "rating")))]
    named = [f"full_name={n}" for n in NAMES]
    lines = [line for some in itertools.zip_longest(plain, near[::5], named, near[1::5]) for line in some if line]
    return [quote(line, safe="=&+_") for line in lines]


# ---- what there is before it begins ----------------------------------------------------------


def login(url, patient):
    """A refresh token of that patient, who comes again when he is told to."""
    at, until = urlsplit(url), time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
        connection.request("POST", "/api/v1/users/login", json.dumps(account(patient)),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 200:
            return json.loads(body)["refresh_token"]
        if answer.status not in (429, 503) or time.monotonic() > until:
            raise Broken(f"patient {patient} cannot log in: {answer.status} {body[:200]!r}")
        time.sleep(float(answer.headers.get("Retry-After", 1)))


def account(patient):
    return {"email": f"patient{patient}@example.org", "password": PASSWORD}


class Data:
    """Doctors, slots and patients of a scenario, and the files that the generator reads of them."""

    def __init__(self, stack, scenario):
        self.stack, self.next = stack, 0
        self.slots = scenario.slots_each()
        say(f"seeding {scenario.doctors} doctors with {self.slots} slots, {scenario.patients} patients")
        seed = ["--doctors", scenario.doctors, "--patients", scenario.patients, "--slots", self.slots,
                "--minutes", scenario.minutes]
        if scenario.asks("login", "refresh"):
            seed += ["--password", PASSWORD]
        self.seeded = stack.seed(*seed)
        first, last = self.seeded["first_patient"], self.seeded["first_patient"] + scenario.patients
        self.tokens = stack.tokens(first, scenario.patients)
        self.filters = self.file("filters", filters())
        self.logins = self.file("logins", (json.dumps(account(p)) for p in range(first, last)))
        self.sessions = None
        if scenario.asks("refresh"):
            with ThreadPoolExecutor(2) as pool:
                url, count = stack.env["HTTP_URL"], min(SESSIONS, scenario.patients)
                self.sessions = self.file("sessions", pool.map(lambda p: login(url, p), range(first, first + count)))
        if scenario.booked:
            say(f"booking {scenario.booked} appointments")
            self.next = self.before("book", scenario.booked)["next"]
        if scenario.booked < scenario.patients:
            self.before("appointments", scenario.patients)      # nobody comes with a token that was never seen
        sql(stack, stack.database, "VACUUM (ANALYZE); CHECKPOINT", "postgres")

    def file(self, name, lines):
        path = self.stack.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def before(self, kind, count):
        """So many requests of a kind, as fast as they are answered, before it begins."""
        busy = scenarios.Traffic("before", 32, [(math.inf, 3600)], {kind: 1})
        found = json.loads(generate(self, busy, "--count", str(count)).communicate()[0])
        if found["errors"]:
            raise Broken(f"the first requests fail: {found['status']} {found['sample'][-300:]}")
        return found

    def appointments(self):
        return int(sql(self.stack, self.stack.database, "SELECT count(*) FROM agenda.appointment"))


# ---- the traffic -----------------------------------------------------------------------------


def generate(data, traffic, *more):
    """The generator of that traffic, started."""
    seeded, env = data.seeded, data.stack.env
    pairs = {
        "url": env["NATS_URL" if traffic.over == "nats" else "HTTP_URL"], "name": traffic.name,
        "mix": ",".join(f"{kind}:{weight}" for kind, weight in traffic.mix.items()),
        "expect": ",".join(":".join(map(str, (kind, *statuses))) for kind, statuses in traffic.expect.items()),
        "seconds" if traffic.closed else "steps": f"{traffic.seconds:.0f}" if traffic.closed else
        ",".join(f"{rate:g}:{seconds:g}" for rate, seconds in traffic.steps),
        "connections": traffic.connections, "processes": -(-traffic.connections // PER_PROCESS),
        "timeout": traffic.timeout, "give-up-ms": traffic.give_up_ms,
        "tokens": data.tokens, "filters": data.filters, "logins": data.logins,
        "first-patient": seeded["first_patient"], "patients": seeded["patients"],
        "first-doctor": seeded["first_doctor"], "doctors": seeded["doctors"],
        "first-slot": seeded["first_slot"], "slots": data.slots, "start": data.next,
    }
    if data.sessions:
        pairs["sessions"] = data.sessions
    argv = [data.stack.load, *(word for k, v in pairs.items() for word in (f"--{k}", str(v)))]
    return subprocess.Popen([*argv, *(["--again"] if traffic.again else []), *more], stdout=subprocess.PIPE, text=True)


def send(data, traffic):
    """All of it at the same time; what each generator found, by its name."""
    running_ = {t.name: generate(data, t) for t in traffic}
    try:
        with ThreadPoolExecutor(len(running_)) as pool:
            said = dict(zip(running_, pool.map(lambda p: p.communicate()[0], running_.values())))
    except KeyboardInterrupt:
        for process in running_.values():
            process.terminate()
        raise
    for name, process in running_.items():
        if process.returncode not in (0, 1):
            raise Broken(f"the generator of {name} fails: see above")
    return {name: json.loads(text) for name, text in said.items()}


# ---- figures ---------------------------------------------------------------------------------


def latencies(prefix, found):
    yield from ((f"{prefix}.{name}_ms", us / 1000) for name, us in found["latency_us"].items())
    yield f"{prefix}.answered", found["answered"]


def knee(found, limit_ms):
    """The highest rate that was kept before one that was too much."""
    kept = 0
    for step in found["steps"]:
        if step["latency_us"]["p99"] > limit_ms * 1000 or step["lost"]:
            break
        kept = max(kept, step["rate"])
    return kept


def figures_of(scenario, results, more):
    """Every figure that an objective can name."""
    figures = dict(more)
    for traffic in scenario.traffic:
        name, found = traffic.name, results[traffic.name]
        figures.update(latencies(name, found))
        figures[f"{name}.errors"] = found["errors"]
        figures[f"{name}.rate"] = found["rate"]
        figures[f"{name}.knee"] = knee(found, traffic.give_up_ms or 250)
        for kind, part in found["kinds"].items():
            figures.update(latencies(f"{name}.{kind}", part))
        for i, step in enumerate(found["steps"], 1):
            figures.update(latencies(f"{name}.step_{i}", step))
            figures[f"{name}.step_{i}.errors"] = step["lost"]
    return figures


def by_role(of_process):
    """Of all processes of a role together: gateway, gateway-2 … become gateway."""
    sums = {}
    for name, value in of_process.items():
        role = name.rstrip("0123456789").rstrip("-") if name[-1].isdigit() else name
        sums[role] = round(sums.get(role, 0) + value, 3)
    return sums


def measure(stack, scenario):
    """The whole of a run but for its report: what summary.json holds."""
    where = machine(stack)
    say(f"{where['cores']} cores, load {where['load_average_before']:.1f} before, "
        f"{where['fdatasync_per_s']} fdatasync/s, PostgreSQL {where['postgresql']}, {where['commit'] or 'no commit'}")
    if where["load_average_before"] > 0.5:
        say("this machine is busy with other things: the figures will be worse than they could be")
    data = Data(stack, scenario)
    before, cpu = data.appointments(), cpu_by_process(stack)
    started = time.time()
    results = send(data, scenario.traffic)
    used = {name: now - cpu.get(name, 0) for name, now in cpu_by_process(stack).items()}
    used["generator"] = sum(r["cpu_s"] for r in results.values())
    memory, used = by_role(memory_by_process(stack)), by_role(used)
    verify = stack.verify()
    figures = figures_of(scenario, results, {"appointments": data.appointments() - before,
                                             **{f"memory.{k}": v for k, v in memory.items()},
                                             **{f"cpu.{k}": v for k, v in used.items()}})
    return {
        "scenario": scenario.name, "about": scenario.about, "machine": where, "stack": scenario.stack,
        "data": {**data.seeded, "booked_before": scenario.booked}, "started": started, "results": results,
        "cpu_s": used, "memory_mib": memory, "appointments": figures["appointments"], "verify": verify,
        "knee": {t.name: figures[f"{t.name}.knee"] for t in scenario.traffic},
        "limit_ms": {t.name: t.give_up_ms for t in scenario.traffic},
        "objectives": [scenarios.judge(text, figures) for text in scenario.objectives],
    }
