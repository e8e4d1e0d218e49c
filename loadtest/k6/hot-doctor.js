// hot-doctor.js - all patients book with one doctor at the same moment, for those who use k6.
//
//   k6 run -e URL=http://127.0.0.1:8080 -e TOKENS=tokens -e FIRST_DOCTOR=1 -e FIRST_SLOT=1 -e SLOTS=2000 \
//          loadtest/k6/hot-doctor.js
//
// Every token asks once, for slot i modulo SLOTS; as many are booked as there are slots, the others hear slot_taken.
import http from "k6/http";
import exec from "k6/execution";
import { check } from "k6";
import { Counter } from "k6/metrics";
import { SharedArray } from "k6/data";

const API = `${__ENV.URL || "http://127.0.0.1:8080"}/api/v1`;
const FIRST_DOCTOR = Number(__ENV.FIRST_DOCTOR || 1);
const FIRST_SLOT = Number(__ENV.FIRST_SLOT || 1);
const SLOTS = Number(__ENV.SLOTS || 1);

const tokens = new SharedArray("tokens", () => open(__ENV.TOKENS || "tokens").split("\n").filter((line) => line));
const booked = new Counter("booked");

const LOOPBACK = /^http:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?\//;
if (!LOOPBACK.test(API) && !(__ENV.ALLOW_REMOTE && __ENV.YES_REALLY))
    throw new Error("URL is not this machine: -e ALLOW_REMOTE=1 -e YES_REALLY=1 if you may load it");

http.setResponseCallback(http.expectedStatuses(201, 409));

export const options = {
    scenarios: { rush: { executor: "per-vu-iterations", vus: tokens.length, iterations: 1, maxDuration: "60s" } },
    thresholds: {
        http_req_failed: ["rate==0"],
        http_req_duration: ["max<=5000"],
        booked: [`count==${Math.min(SLOTS, tokens.length)}`],
    },
};

export default function () {
    const i = exec.vu.idInTest - 1;
    const answer = http.post(`${API}/appointments`,
        JSON.stringify({ schedule_id: FIRST_SLOT + i % SLOTS, doctor_id: FIRST_DOCTOR }),
        { headers: { Authorization: `Bearer ${tokens[i]}`, "Content-Type": "application/json" } });
    check(answer, { "booked or taken": (a) => a.status === 201 || a.status === 409 });
    if (answer.status === 201)
        booked.add(1);
}
