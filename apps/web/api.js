// Calls to the API: the CSRF token with every change, every refusal an Error with the server's sentence and code.

let csrf = null;

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.requestId = problem.request_id ?? null;
  }
}

export const remember = (token) => { csrf = token; };

export async function call(method, path, body) {
  const headers = {};
  if (csrf && method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, { method, headers, body });
  } catch {
    throw new Refused(0, { detail: "The server cannot be reached; nothing was changed.", code: "offline" });
  }
  const text = await answer.text();
  let value = null;
  try { value = text ? JSON.parse(text) : null; } catch { /* a proxy's page: the status says it */ }
  if (!answer.ok) throw new Refused(answer.status, value ?? {});
  return value;
}
