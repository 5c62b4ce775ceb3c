// The API's page: reads the OpenAPI file, shows every route, and can call it.

const $ = (id) => document.getElementById(id);
const METHODS = ["get", "post", "put", "patch", "delete"];
let schema = null;

function make(tag, text, ...children) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

const resolve = (node) => (node?.$ref ? node.$ref.split("/").slice(1).reduce((at, key) => at[key], schema) : node);

// A value that has the shape of a schema, to start from.
function example(given, depth = 0) {
  const node = resolve(given) ?? {};
  if (depth > 6) return null;
  if (node.default !== undefined) return node.default;
  if (node.enum) return node.enum[0];
  const choice = node.oneOf ?? node.anyOf;
  if (choice) return example(choice.find((each) => resolve(each).type !== "null") ?? choice[0], depth + 1);
  const type = Array.isArray(node.type) ? node.type[0] : node.type;
  if (type === "object" || node.properties) {
    return Object.fromEntries(Object.entries(node.properties ?? {}).map(([key, each]) => [key, example(each, depth + 1)]));
  }
  if (type === "array") return [example(node.items, depth + 1)];
  return { integer: 0, number: 0, boolean: false, null: null }[type] ?? (node.format === "uuid" ? "00000000-0000-0000-0000-000000000000" : "");
}

function route(path, method, operation) {
  const box = make("details", "", make("summary", "", make("b", method.toUpperCase()), make("code", path), ` — ${operation.summary ?? ""}`));
  box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(form(path, method, operation)); });
  return box;
}

function form(path, method, operation) {
  const element = make("form");
  const inputs = [];
  for (const each of (operation.parameters ?? []).map(resolve)) {
    const input = make("input");
    input.required = each.required ?? false;
    inputs.push([each, input]);
    element.append(make("label", `${each.name} (${each.in}) ${each.description ?? ""}`, input));
  }
  const content = resolve(operation.requestBody)?.content ?? {};
  const body = make("textarea");
  if (content["application/json"]) {
    body.value = JSON.stringify(example(content["application/json"].schema), null, 2);
    element.append(make("label", "Body (application/json)", body));
  }
  const picker = make("input");
  picker.type = "file";
  if (content["multipart/form-data"]) {
    const button = make("label", "Send a .torrent instead", picker);
    button.className = "button quiet";
    element.append(button);
  }
  const answer = make("pre");
  answer.hidden = true;
  element.append(make("button", "Call"), answer);
  for (const [status, each] of Object.entries(operation.responses ?? {})) {
    const json = resolve(each).content?.["application/json"]?.schema;
    if (json && status.startsWith("2")) element.append(make("p", `${status}:`), make("pre", JSON.stringify(example(json), null, 2)));
  }
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    try {
      await send(path, method, inputs, content["application/json"] ? body.value : "", picker.files[0], answer);
    } catch (failure) {
      answer.textContent = String(failure);
    }
  });
  return element;
}

async function send(path, method, inputs, body, file, answer) {
  const query = new URLSearchParams();
  const headers = {};
  for (const [each, input] of inputs) {
    if (each.in === "path") path = path.replace(`{${each.name}}`, encodeURIComponent(input.value));
    else if (input.value && each.in === "query") query.append(each.name, input.value);
    else if (input.value && each.in === "header") headers[each.name] = input.value;
  }
  const bearer = $("bearer").value.trim();
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  else if (method !== "get") headers["X-CSRF-Token"] = await csrf();
  const options = { method: method.toUpperCase(), headers };
  if (file) {
    options.body = new FormData();
    options.body.append("torrent", file);
  } else if (body.trim() && method !== "get") {
    headers["Content-Type"] = "application/json";
    options.body = body;
  }
  const said = await fetch(query.size ? `${path}?${query}` : path, options);
  answer.textContent = `${said.status} ${said.headers.get("Content-Type") ?? ""}\n`;
  const reader = said.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader.read()) answer.textContent += part.value;
}

async function csrf() {
  const me = await fetch("/api/v1/auth/me");
  return me.ok ? ((await me.json()).csrf_token ?? "") : "";
}

schema = await (await fetch("/api/schema")).json();
$("intro").textContent = `${schema.info.description} Version ${schema.info.version}.`;
const byTag = new Map();
for (const [path, methods] of Object.entries(schema.paths)) {
  for (const method of METHODS) {
    if (!methods[method]) continue;
    const tag = methods[method].tags?.[0] ?? "other";
    byTag.set(tag, [...(byTag.get(tag) ?? []), route(path, method, methods[method])]);
  }
}
for (const [tag, routes] of byTag) $("routes").append(make("h2", tag), ...routes);
