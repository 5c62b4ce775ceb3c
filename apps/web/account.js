// Where links in mails lead, and what signing in needs beyond a password. The secret is behind the #: no server sees it.

import { call, remember } from "/api.js";
import { callChecked } from "/robot.js";

const notice = document.getElementById("notice");
const [step, token] = location.hash.slice(1).split("=");
history.replaceState(null, "", location.pathname); // a secret is nothing for the history
addEventListener("hashchange", () => location.reload()); // another link, in the same tab

const home = () => location.assign("/");
const done = (text) => { say(text); document.querySelector(`[data-step="${step}"]`).hidden = true; };

const ERRORS = {
  oidc_denied: "The other provider did not let you in.",
  oidc_failed: "The other provider's answer could not be verified; try again.",
  oidc_unverified: "The other provider has not verified your e-mail address: confirm it there first.",
  suspended: "This account is suspended: ask support why.",
  oidc_expired: "This took too long, or was begun in another browser; try again.",
};

const STEPS = {
  verify: async () => {
    const { email } = await call("POST", "/auth/verify", { token });
    done(`${email} is confirmed. You can sign in now.`);
  },
  email: async () => {
    const { email } = await call("POST", "/auth/email/confirm", { token });
    done(`Your account has the address ${email} now.`);
  },
  forgotten: async ({ email }) => {
    await callChecked("POST", "/auth/password/forgotten", { email });
    done(`If ${email} has an account here, a link is on its way to it.`);
  },
  reset: async ({ password }) => {
    await call("POST", "/auth/password/reset", { token, password });
    done("The password is set. Sign in with it.");
  },
  code: async ({ code }) => {
    await call("POST", "/auth/login/code", { pending: token, code });
    home();
  },
  invitation: async () => {
    const { organisation, email, role } = await call("POST", "/invitations/look", { token });
    const me = await call("GET", "/auth/me").catch(() => null);
    if (me?.email !== email) {
      say(`${organisation} invites ${email} as ${role}. Sign in with that address on the front page, or make an account`
        + " there and confirm it; then open this link again.");
      return;
    }
    remember(me.csrf_token);
    await call("POST", "/invitations/accept", { token });
    home();
  },
  link: async ({ email, password }) => {
    const answer = await callChecked("POST", "/auth/login", { email, password });
    if (answer.pending) {
      say("This account has a second factor: sign in on the front page, then begin anew with the other provider.");
      return;
    }
    remember(answer.csrf_token);
    await call("POST", "/auth/identities", { token });
    home();
  },
};

function say(text) {
  notice.textContent = text;
  notice.hidden = false;
}

for (const section of document.querySelectorAll(".step")) {
  section.hidden = section.dataset.step !== step;
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await STEPS[section.dataset.step](Object.fromEntries(new FormData(event.target)));
    } catch (failure) {
      say(failure.message);
    }
  });
}
if (step === "error") say(ERRORS[token] ?? "Signing in did not work; try again.");
