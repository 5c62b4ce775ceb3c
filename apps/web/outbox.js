// The outbox of mails, for operators: where no SMTP server is configured, their links can be tried from here.

import { call } from "/api.js";

const notice = document.getElementById("notice");

function say(text) {
  notice.textContent = text;
  notice.hidden = false;
}

function item(mail) {
  const made = document.createElement("li");
  const head = document.createElement("strong");
  head.textContent = `${mail.recipient}: ${mail.subject}`;
  const line = document.createElement("p");
  line.textContent = [new Date(mail.created_at).toLocaleString(), mail.state, mail.failure].filter(Boolean).join(" · ");
  made.append(head, line);
  if (mail.text) {
    const text = document.createElement("p");
    for (const part of mail.text.split(/(https?:\/\/\S+|\n)/)) {
      if (part === "\n") text.append(document.createElement("br"));
      else if (/^https?:/.test(part)) {
        const link = document.createElement("a");
        link.href = link.textContent = part;
        text.append(link);
      } else text.append(part);
    }
    made.append(text);
  }
  return made;
}

try {
  const { items, sent_by_smtp: sent } = await call("GET", "/admin/mails");
  document.getElementById("mails").replaceChildren(...items.map(item));
  if (items.length === 0) say("No mail was written yet.");
  else if (!sent) say("No SMTP server is configured: mails stay here.");
} catch (failure) {
  say(failure.message);
}
