// One live stream a job that has not ended; a few at once, because browsers allow six connections to a host.

const AT_ONCE = 4;
const open = new Map();
const waiting = [];

export function follow(id, hear) {
  if (open.has(id) || waiting.some(([other]) => other === id)) return;
  waiting.push([id, hear]);
  next();
}

export function forget(id) {
  const at = waiting.findIndex(([other]) => other === id);
  if (at >= 0) waiting.splice(at, 1);
  open.get(id)?.close();
  if (open.delete(id)) next();
}

export function forgetAll() {
  waiting.length = 0;
  for (const source of open.values()) source.close();
  open.clear();
}

export const isFollowed = (id) => open.has(id);

function next() {
  while (open.size < AT_ONCE && waiting.length) {
    const [id, hear] = waiting.shift();
    const source = new EventSource(`/api/v1/jobs/${id}/events`);
    open.set(id, source);
    for (const event of ["snapshot", "state", "progress"]) {
      source.addEventListener(event, (said) => hear(event, JSON.parse(said.data)));
    }
    // An EventSource that was refused stays closed; one that was cut comes back by itself.
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) forget(id); });
  }
}
