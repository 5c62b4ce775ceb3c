"""Every subject and stream name on the bus, built here and nowhere typed by hand.

Account FLEET (agents live here): `work.<pool>` in stream WORK, `nudge.<agent>`, `ask.<agent>`.
Account APP (control plane alone): `events.<org>.<job>` in stream EVENTS, `progress.<org>.<job>`, `detail.<org>.<job>`,
`nudge.work.<loop>`.
"""

from wire.ids import AgentId, JobId, OrgId

WORK = "WORK"
EVENTS = "EVENTS"
WORK_SUBJECTS = "work.*"
EVENTS_SUBJECTS = "events.*.*"


def work(pool: str) -> str:
    return f"work.{pool}"


def nudge_agent(agent: AgentId) -> str:
    return f"nudge.{agent}"


def ask_agent(agent: AgentId) -> str:
    return f"ask.{agent}"


def nudge_loop(loop: str) -> str:
    return f"nudge.work.{loop}"


def event(org: OrgId, job: JobId) -> str:
    return f"events.{org}.{job}"


def events_of(org: OrgId) -> str:
    return f"events.{org}.*"


def progress(org: OrgId, job: JobId) -> str:
    return f"progress.{org}.{job}"


def progress_of(org: OrgId) -> str:
    return f"progress.{org}.*"


def detail(org: OrgId, job: JobId) -> str:
    return f"detail.{org}.{job}"
