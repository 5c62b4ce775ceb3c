// The bot check, in the page itself: a proof of work found here, or Turnstile's widget where the server has chosen that.

import { call, Refused } from "/api.js";

const SLICE = 2000; // hashes between two breaths of the page
const TURNSTILE = "https://challenges.cloudflare.com/turnstile/v0/api.js?render=explicit";

// What may be refused for want of a check is sent again with one; most people never notice.
export async function callChecked(method, path, body) {
  try {
    return await call(method, path, body);
  } catch (refused) {
    if (refused.code !== "bot_check_needed") throw refused;
    return call(method, path, { ...body, bot_check: await check() });
  }
}

async function check() {
  const how = await call("GET", "/auth/bot-check");
  return how.kind === "turnstile" ? turnstile(how.site_key) : solve(await call("GET", "/auth/bot-check/challenge"));
}

async function solve({ algorithm, challenge, maxnumber, salt, signature }) {
  for (let number = 0; number <= maxnumber; number += 1) {
    if (sha256(salt + number) === challenge) return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
    if (number % SLICE === 0) await new Promise((done) => { setTimeout(done); });
  }
  throw new Refused(0, { detail: "The check that you are no robot could not be solved; try again.", code: "unsolved" });
}

function turnstile(sitekey) {
  return new Promise((callback, reject) => {
    const failed = () => reject(new Refused(0, { detail: "The check that you are no robot did not load.", code: "unsolved" }));
    const script = document.createElement("script");
    const place = document.createElement("div");
    script.src = TURNSTILE;
    script.onerror = failed;
    script.onload = () => globalThis.turnstile.render(place, { sitekey, callback, "error-callback": failed });
    document.querySelector("main").append(place, script);
  });
}

// SHA-256 (FIPS 180-4), written out: the browser's own is there over https alone, and slower for many short texts.
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n += 1) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const fraction = (value) => ((value - Math.floor(value)) * 2 ** 32) | 0;
const FIRST = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const ROUND = PRIMES.map((prime) => fraction(Math.cbrt(prime)));
const turned = (word, by) => (word >>> by) | (word << (32 - by));
const words = new Int32Array(64);

export function sha256(ascii) {
  const blocks = Math.ceil((ascii.length + 9) / 64);
  const message = new DataView(new ArrayBuffer(blocks * 64));
  for (let at = 0; at < ascii.length; at += 1) message.setUint8(at, ascii.charCodeAt(at));
  message.setUint8(ascii.length, 0x80);
  message.setUint32(blocks * 64 - 4, ascii.length * 8);
  const state = [...FIRST];
  for (let block = 0; block < blocks; block += 1) compress(state, message, block * 64);
  return state.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

function compress(state, message, from) {
  for (let t = 0; t < 16; t += 1) words[t] = message.getInt32(from + 4 * t);
  for (let t = 16; t < 64; t += 1) {
    const early = words[t - 15], late = words[t - 2];
    const one = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
    const two = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
    words[t] = (words[t - 16] + one + words[t - 7] + two) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t += 1) {
    const chosen = (e & f) ^ (~e & g), most = (a & b) ^ (a & c) ^ (b & c);
    const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + chosen + ROUND[t] + words[t]) | 0;
    const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + most) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => { state[at] = (state[at] + word) | 0; });
}
