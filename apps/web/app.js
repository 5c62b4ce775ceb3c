// The page: sign in, add, watch, fetch. What may be done with a job is what the API says (`actions`).

import { call, remember } from "/api.js";
import { follow, forget, forgetAll, isFollowed } from "/live.js";

const POLL_MS = 5000; // for jobs beyond the few streams that are open
const PAGE = 50;
const $ = (id) => document.getElementById(id);
const rows = new Map();
const gone = new Set();
let cursor = null;
let poll = null;

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
function bytes(count) {
  let value = count, unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
  return `${unit ? value.toPrecision(3) : value} ${UNITS[unit]}`;
}

function notice(text) {
  $("notice").textContent = text ?? "";
  $("notice").hidden = !text;
}

async function attempt(work) {
  try {
    notice(null);
    return await work();
  } catch (failure) {
    if (failure.status === 401) showDoor();
    notice(failure.message);
    return undefined;
  }
}

function showDoor() {
  forgetAll();
  clearInterval(poll);
  rows.clear();
  $("jobs").replaceChildren();
  $("door").hidden = false;
  $("desk").hidden = $("who").hidden = true;
}

async function showDesk(me) {
  remember(me.csrf_token);
  $("email").textContent = me.email;
  $("door").hidden = true;
  $("desk").hidden = $("who").hidden = false;
  await load();
  clearInterval(poll);
  poll = setInterval(refresh, POLL_MS);
}

async function load(after) {
  const page = await call("GET", `/jobs?limit=${PAGE}${after ? `&cursor=${after}` : ""}`);
  for (const job of page.items) show(job);
  cursor = page.next_cursor;
  $("more").hidden = cursor === null;
  count(page.counts);
}

// Those that no stream tells about; also finds what was added elsewhere.
async function refresh() {
  if (document.hidden) return;
  try {
    const page = await call("GET", `/jobs?limit=${PAGE}`);
    for (const job of page.items) if (!isFollowed(job.id)) show(job);
    count(page.counts);
  } catch (failure) {
    if (failure.status === 401) showDoor();
  }
}

function count(counts) {
  const said = Object.entries(counts).filter(([, n]) => n > 0).map(([state, n]) => `${n} ${state.replace("_", " ")}`);
  $("counts").textContent = said.join(" · ");
  $("empty").hidden = said.length > 0;
}

function show(job) {
  if (gone.has(job.id)) return; // asked for before it was removed
  let row = rows.get(job.id);
  if (!row) {
    row = build(job);
    rows.set(job.id, row);
    const older = [...rows.values()].filter((other) => other.job.id < job.id).sort((a, b) => (a.job.id < b.job.id ? 1 : -1));
    $("jobs").insertBefore(row.element, older[0]?.element ?? null);
  }
  if (job.version < row.job.version) return;
  row.job = job;
  row.rates = job.progress;
  draw(row);
  if (job.actions.includes("cancel")) follow(job.id, (event, said) => hear(row, event, said));
  else forget(job.id);
}

function hear(row, event, said) {
  if (event === "snapshot") { show(said); return; }
  if (event === "progress") {
    row.rates = said.rates;
    draw(row);
    return;
  }
  if (said.removed) { drop(row.job.id); return; }
  if (said.version <= row.job.version) return;
  row.job = { ...row.job, state: said.state, version: said.version, actions: said.actions };
  draw(row);
  // The rest of what may have changed with it: size, files, the reason.
  call("GET", `/jobs/${row.job.id}`).then(show, () => {});
  refresh(); // the counts
}

function drop(id) {
  gone.add(id);
  forget(id);
  rows.get(id)?.element.remove();
  rows.delete(id);
}

function build(job) {
  const element = $("job").content.firstElementChild.cloneNode(true);
  const part = (name) => element.querySelector(`.${name}`);
  const row = { job, rates: job.progress, element, part };
  part("files").addEventListener("click", () => attempt(() => toggleFiles(row)));
  part("cancel").addEventListener("click", () => attempt(async () => show(await call("POST", `/jobs/${row.job.id}/cancel`))));
  part("remove").addEventListener("click", () => attempt(async () => {
    await call("DELETE", `/jobs/${row.job.id}`);
    drop(row.job.id);
    await refresh();
  }));
  return row;
}

function draw(row) {
  const { job, rates, part } = row;
  part("name").textContent = job.name;
  part("state").textContent = job.state.replace("_", " ");
  part("state").dataset.state = job.state;
  part("why").textContent = why(job, rates);
  part("cancel").hidden = !job.actions.includes("cancel");
  part("remove").hidden = !job.actions.includes("remove");
  part("files").disabled = job.files_count === null;
  part("files").title = job.files_count === null ? "The file list is not known yet." : "";
  const total = rates.total_bytes || job.size_bytes || 0;
  const moving = job.actions.includes("cancel") && total > 0;
  part("bar").hidden = !moving;
  if (!moving) return;
  const share = (n) => Math.min(100, Math.floor((100 * n) / total));
  part("down").style.width = `${share(rates.down_bytes)}%`;
  part("stored").style.width = `${share(rates.stored_bytes)}%`;
  part("bar").setAttribute("aria-valuenow", share(rates.stored_bytes));
  part("bar").setAttribute("aria-label", `${job.name}: ${share(rates.stored_bytes)} % stored`);
}

const WHY = {
  submitted: () => "Waiting for a machine. It starts by itself.",
  metadata_fetch: () => "Asking peers for the file list.",
  queued: () => "Waiting for a free slot.",
  downloading: moving,
  uploading: moving,
  completed: (job) => `${bytes(job.size_bytes ?? 0)} stored, ${job.files_count ?? 0} files.`,
  paused: () => "Paused.",
  failed: (job) => job.failure?.detail ?? job.failure?.code ?? "Failed.",
  cancelled: () => "Cancelled. What was stored goes when the job is removed.",
  expired: () => "Its files were removed.",
};

const why = (job, rates) => (WHY[job.state] ?? (() => ""))(job, rates);

function moving(job, rates) {
  const total = rates.total_bytes || job.size_bytes || 0;
  const said = [`${bytes(rates.stored_bytes)} of ${bytes(total)} stored`];
  if (rates.down_rate) said.push(`↓ ${bytes(rates.down_rate)}/s`);
  if (rates.store_rate) said.push(`↑ ${bytes(rates.store_rate)}/s`);
  if (rates.peers !== undefined) said.push(`${rates.peers} peers`);
  return said.join(" · ");
}

async function toggleFiles(row, after) {
  const list = row.part("list");
  if (!after && !list.hidden) { list.hidden = true; return; }
  const page = await call("GET", `/jobs/${row.job.id}/files?limit=100${after ? `&cursor=${after}` : ""}`);
  const items = page.items.map((file) => fileItem(row, file));
  if (after) { list.lastElementChild.remove(); list.append(...items); } else list.replaceChildren(...items);
  if (page.next_cursor) {
    const more = document.createElement("li");
    more.append(button("Show more files", () => toggleFiles(row, page.next_cursor)));
    list.append(more);
  }
  list.hidden = false;
}

function fileItem(row, file) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = `${file.path} · ${bytes(file.size_bytes)}`;
  const fetchIt = button("Download", async () => {
    const link = await call("POST", `/jobs/${row.job.id}/files/${file.index}/link`, {});
    location.assign(link.url); // an attachment: the page stays
  });
  fetchIt.disabled = !file.stored;
  fetchIt.title = file.stored ? "" : "This file is not stored yet.";
  item.append(name, fetchIt);
  return item;
}

function button(text, act) {
  const made = document.createElement("button");
  made.className = "quiet";
  made.textContent = text;
  made.addEventListener("click", () => attempt(act));
  return made;
}

async function addFiles(files) {
  for (const file of files) {
    const form = new FormData();
    form.append("torrent", file);
    await attempt(async () => show(await call("POST", "/jobs", form)));
  }
  await refresh();
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(event.target));
  attempt(async () => {
    if (event.submitter?.value === "register") await call("POST", "/auth/register", { email, password });
    await showDesk(await call("POST", "/auth/login", { email, password }));
    event.target.reset();
  });
});

$("sign-out").addEventListener("click", () => attempt(async () => {
  await call("POST", "/auth/logout");
  remember(null);
  showDoor();
}));

$("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const magnet = $("magnet").value.trim();
  if (!magnet) return;
  attempt(async () => {
    show(await call("POST", "/jobs", { magnet }));
    $("magnet").value = "";
    await refresh();
  });
});

$("file").addEventListener("change", (event) => addFiles([...event.target.files]).then(() => { event.target.value = ""; }));
$("more").addEventListener("click", () => attempt(() => load(cursor)));

document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (!$("desk").hidden) addFiles([...event.dataTransfer.files]);
});

call("GET", "/auth/me").then(showDesk, showDoor);
