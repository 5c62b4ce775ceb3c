// A takedown notice, and the answer to one: forms for who has no account.

import { callChecked } from "/robot.js";

const notice = document.getElementById("notice");

function say(text) {
  notice.textContent = text;
  notice.hidden = false;
  notice.scrollIntoView();
}

const FORMS = {
  takedown: async (said) => {
    const torrents = said.torrents.split("\n").map((line) => line.trim()).filter(Boolean);
    const told = await callChecked("POST", "/takedowns", { ...said, torrents });
    return `Your notice came in as case ${told.case}. You will hear from us at ${said.email}.`;
  },
  counter: async ({ case: id, ...said }) => {
    await callChecked("POST", `/takedowns/${id}/counter-notice`, said);
    return `Your counter-notice came in. You will hear from us at ${said.email}.`;
  },
};

for (const [name, send] of Object.entries(FORMS)) {
  const form = document.getElementById(name);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = Object.fromEntries(new FormData(form));
    for (const box of form.querySelectorAll("[type=checkbox]")) said[box.name] = box.checked;
    try {
      say(await send(said));
      form.reset();
    } catch (failure) {
      say(failure.message);
    }
  });
}
