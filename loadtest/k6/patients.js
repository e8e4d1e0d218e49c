// patients.js - the steady mix for those who use k6: open loop, each kind of request with a rate of its own.
//
//   k6 run -e URL=http://127.0.0.1:8080 -e TOKENS=tokens -e RATE=2000 -e SECONDS=60 \
//          -e FIRST_DOCTOR=1 -e DOCTORS=1000 -e FIRST_SLOT=1 -e SLOTS=40 loadtest/k6/patients.js
//
// TOKENS: a file with a patient's token on each line (healthmed token).  Thresholds are the objectives: k6 exits
// non-zero when one is missed.  k6 counts from when it sends, not from the planned time: when it lacks virtual users,
// dropped_iterations says so, and that is a missed objective here.
import http from "k6/http";
import exec from "k6/execution";
import { check } from "k6";
import { SharedArray } from "k6/data";

const number = (name, otherwise) => Number(__ENV[name] || otherwise);
const API = `${__ENV.URL || "http://127.0.0.1:8080"}/api/v1`;
const RATE = number("RATE", 200);
const SECONDS = number("SECONDS", 30);
const FIRST_DOCTOR = number("FIRST_DOCTOR", 1);
const DOCTORS = number("DOCTORS", 1);
const FIRST_SLOT = number("FIRST_SLOT", 1);
const SLOTS = number("SLOTS", 1);
const SPECIALTIES = ["Cardiologia", "Dermatologia", "Pediatria", "Ortopedia", "Ginecologia", "Oftalmologia",
    "Psiquiatria", "Neurologia", "Endocrinologia", "Urologia"];
const SHARE = { search: 0.35, slots: 0.35, appointments: 0.2, book: 0.1 };

const tokens = new SharedArray("tokens", () => open(__ENV.TOKENS || "tokens").split("\n").filter((line) => line));

const LOOPBACK = /^http:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?\//;
if (!LOOPBACK.test(API) && !(__ENV.ALLOW_REMOTE && __ENV.YES_REALLY))
    throw new Error("URL is not this machine: -e ALLOW_REMOTE=1 -e YES_REALLY=1 if you may load it");

export const options = {
    scenarios: Object.fromEntries(Object.entries(SHARE).map(([kind, share]) => [kind, {
        executor: "constant-arrival-rate", exec: kind, rate: Math.max(1, Math.round(RATE * share)), timeUnit: "1s",
        duration: `${SECONDS}s`, preAllocatedVUs: Math.ceil(RATE * share / 10) + 5, maxVUs: RATE + 50,
    }])),
    thresholds: {
        http_req_failed: ["rate==0"],
        http_req_duration: ["p(99)<=25"],
        dropped_iterations: ["count==0"],
        checks: ["rate==1"],
    },
    summaryTrendStats: ["med", "p(90)", "p(99)", "p(99.9)", "max"],
};

// The k-th of n things is wanted 1/k as often as the first.
function zipf(n) {
    return Math.min(n - 1, Math.floor(Math.exp(Math.random() * Math.log(n + 1)) - 1));
}

function as(n, tags) {
    return { headers: { Authorization: `Bearer ${tokens[n % tokens.length]}`, "Content-Type": "application/json" }, tags };
}

function turn() {
    return exec.scenario.iterationInTest;
}

export function search() {
    const answer = http.get(`${API}/users/doctors?specialty=${SPECIALTIES[zipf(SPECIALTIES.length)]}`,
        as(turn(), { name: "search" }));
    check(answer, { "doctors are found": (a) => a.status === 200 });
}

export function slots() {
    const answer = http.get(`${API}/doctors/${FIRST_DOCTOR + zipf(DOCTORS)}/slots`, as(turn(), { name: "slots" }));
    check(answer, { "slots are shown": (a) => a.status === 200 });
}

export function appointments() {
    check(http.get(`${API}/appointments`, as(turn(), { name: "appointments" })), { "mine are shown": (a) => a.status === 200 });
}

// Booking i is at doctor i modulo DOCTORS, his slot i / DOCTORS: each asks for a slot of its own.
export function book() {
    const i = turn();
    const slot = FIRST_SLOT + (i % DOCTORS) * SLOTS + Math.floor(i / DOCTORS);
    const answer = http.post(`${API}/appointments`, JSON.stringify({ schedule_id: slot, doctor_id: FIRST_DOCTOR + i % DOCTORS }),
        as(i, { name: "book" }));
    check(answer, { "it is booked": (a) => a.status === 201 });
}
