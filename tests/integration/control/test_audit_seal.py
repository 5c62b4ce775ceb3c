"""Loop `seal`: every committed row once, whatever the order of commits; and whatever damages the chain is found."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control.audit import service as audit
from control.audit.chain import Damage
from control.audit.service import Actor
from control.audit.verify import lines
from control.loops import gauges, seal
from control.plane import Plane
from tests.support.logbook import Logbook, logbook, template
from tests.support.servers import Databases
from wire.clock import utcnow

ROWS = 12
MANY = seal.BATCH * 8
LIMIT_S = 30.0


@pytest.fixture(scope="module")
async def empty(postgres: Databases) -> str:
    return await template(postgres)


@pytest.fixture
async def log(plane: Plane, postgres: Databases, empty: str) -> AsyncIterator[Logbook]:
    async with logbook(plane, postgres, empty) as made:
        yield made


@pytest.fixture
async def sealed(log: Logbook) -> Logbook:
    await log.write(ROWS)
    await log.seal()
    return log


async def test_what_is_committed_is_sealed_once_and_then_there_is_nothing_to_do(log: Logbook) -> None:
    await log.write(seal.BATCH + 3)
    assert await seal.step(log.plane, utcnow()) is True, "a whole batch: there may be more"
    assert await seal.step(log.plane, utcnow()) is False
    assert await seal.step(log.plane, utcnow()) is False
    said = await log.verify()
    assert (said.sealed, said.unsealed, said.whole) == (seal.BATCH + 3, 0, True)


async def test_a_row_that_commits_late_with_an_early_id_is_sealed_when_it_is_there(log: Logbook) -> None:
    async with log.plane.working() as late:
        await audit.record(late, Actor(name="late"), "thing.done", "first id", utcnow())
        await late.flush()
        await log.write(3)
        await log.seal()
        said = await log.verify()
        assert (said.sealed, said.unsealed, said.whole) == (3, 0, True)
    assert (await log.verify()).unsealed == 1
    await log.seal()
    assert (await log.verify()).whole
    assert await log.sql("SELECT string_agg(entry_id::text, ',' ORDER BY seq) FROM audit_seals") == "2,3,4,1"


async def test_sealers_at_once_make_one_chain(log: Logbook) -> None:
    await log.write(seal.BATCH * 2 + 1)
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(seal.step(log.plane, utcnow()))
    await log.seal()
    said = await log.verify()
    assert (said.sealed, said.whole) == (seal.BATCH * 2 + 1, True)


async def test_a_sealer_that_is_killed_at_any_moment_leaves_a_whole_chain(log: Logbook) -> None:
    """Killed after its first batch, in the middle of the next; another one goes on."""
    await log.sql(
        "INSERT INTO audit (at, actor, action, target, detail)"
        f" SELECT now(), 'person:x', 'thing.done', 'thing:' || n, '{{}}' FROM generate_series(1, {MANY}) n"
    )
    script = (
        "import asyncio, sys\n"
        "from types import SimpleNamespace\n"
        "from control.db import Database\n"
        "from control.loops import seal\n"
        "from wire.clock import utcnow\n"
        "async def main():\n"
        "    db = Database(sys.argv[1], sys.argv[1])\n"
        "    while await seal.step(SimpleNamespace(working=db.working), utcnow()): pass\n"
        "asyncio.run(main())\n"
    )
    env = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, log.url, env=env)

    async with asyncio.timeout(LIMIT_S):
        while (await log.verify()).sealed == 0:
            pass
    child.kill()
    await child.wait()
    assert (await log.verify()).whole
    async with asyncio.timeout(LIMIT_S):  # PostgreSQL may take a moment to see that the dead one's connection is gone
        while (said := await log.verify()).unsealed:
            await log.seal()
    assert (said.sealed, said.whole) == (MANY, True)


@pytest.mark.parametrize("table", ["audit", "audit_seals", "audit_unsealed"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_nobody_changes_the_log_or_its_seals(log: Logbook, table: str, change: str) -> None:
    await log.write(2)
    await log.seal()
    await log.write(2)
    column = {"audit": "actor", "audit_seals": "hash", "audit_unsealed": "entry_id"}[table]
    statement = change.format(table, column, column)
    with pytest.raises(DBAPIError):
        async with log.plane.working() as tx:
            await tx.execute(text(statement))
    with pytest.raises(AssertionError, match="append-only"):
        await log.sql(statement)
    said = await log.verify()
    assert (said.sealed, said.unsealed, said.whole) == (2, 2, True)


CUT = "DELETE FROM audit_seals WHERE seq {0}; "
SWAP = (
    "UPDATE audit_seals SET seq = 1000 WHERE seq = 6; UPDATE audit_seals SET seq = 6 WHERE seq = 5;"
    " UPDATE audit_seals SET seq = 5 WHERE seq = 1000"
)
PUT_IN = (
    "INSERT INTO audit (id, at, actor, action, target, detail) OVERRIDING SYSTEM VALUE"
    " VALUES ({}, now(), 'person:y', 'thing.done', 'thing:5', '{{}}')"
)


@pytest.mark.parametrize(
    ("damage", "first", "seq"),
    [
        ("UPDATE audit SET actor = 'person:y' WHERE id = 5", Damage.ROW_CHANGED, 5),
        ("UPDATE audit SET detail = '{\"n\": 4.0}' WHERE id = 5", Damage.ROW_CHANGED, 5),
        ("UPDATE audit SET at = at + interval '1 microsecond' WHERE id = 12", Damage.ROW_CHANGED, 12),
        ("UPDATE audit SET org_id = NULL WHERE id = 5", Damage.ROW_CHANGED, 5),
        ("UPDATE audit SET ip = '' WHERE id = 5", Damage.ROW_CHANGED, 5),
        ("UPDATE audit SET severity = 'notice' WHERE id = 5", Damage.ROW_CHANGED, 5),
        ("DELETE FROM audit WHERE id = 1", Damage.ROW_REMOVED, 1),
        ("DELETE FROM audit WHERE id = 12", Damage.ROW_REMOVED, 12),
        (PUT_IN.format(100), Damage.ROW_PUT_IN, None),
        (PUT_IN.format(-100), Damage.ROW_PUT_IN, None),
        (CUT.format("= 5"), Damage.SEAL_REMOVED, 5),
        (CUT.format("<= 5"), Damage.SEAL_REMOVED, 1),
        (CUT.format("= 12"), Damage.ROW_PUT_IN, None),
        (CUT.format("= 5") + "UPDATE audit_seals SET seq = seq - 1 WHERE seq > 5", Damage.SEAL_REMOVED, 5),
        (SWAP, Damage.REORDERED, 5),
        ("UPDATE audit_seals SET sealed_at = now() WHERE seq = 5", Damage.SEAL_CHANGED, 5),
        ("UPDATE audit_seals SET hash = sha256('x') WHERE seq = 5", Damage.SEAL_CHANGED, 5),
        ("UPDATE audit_seals SET entry_id = 500 WHERE seq = 5", Damage.ROW_REMOVED, 5),
    ],
)
async def test_whatever_is_done_to_the_log_past_its_triggers_is_found(
    sealed: Logbook, damage: str, first: Damage, seq: int | None
) -> None:
    await sealed.damage(damage)
    said = await sealed.verify()
    assert not said.whole
    assert (said.breaks[0].damage, said.breaks[0].seq) == (first, seq)
    assert any(line.startswith(f"first break: {first}") for line in lines(said))


async def test_one_break_hides_no_other(sealed: Logbook) -> None:
    await sealed.damage(
        "UPDATE audit SET actor = 'x' WHERE id = 2; DELETE FROM audit WHERE id = 4; UPDATE audit_seals SET"
        f" sealed_at = now() WHERE seq = 6; DELETE FROM audit_seals WHERE seq = 8; {PUT_IN.format(100)}"
    )
    said = await sealed.verify()
    assert [(each.damage, each.seq, each.entry_id) for each in said.breaks] == [
        (Damage.ROW_CHANGED, 2, 2), (Damage.ROW_REMOVED, 4, 4), (Damage.SEAL_CHANGED, 6, 6),
        (Damage.SEAL_REMOVED, 8, None), (Damage.ROW_PUT_IN, None, 8), (Damage.ROW_PUT_IN, None, 100),
    ]  # fmt: skip


async def test_a_row_that_is_removed_before_it_was_sealed_is_missed(sealed: Logbook) -> None:
    await sealed.write(2)
    await sealed.damage(f"DELETE FROM audit WHERE id = {ROWS + 1}")
    for _ in range(2):
        said = await sealed.verify()
        assert [(each.damage, each.entry_id) for each in said.breaks] == [(Damage.ROW_REMOVED, ROWS + 1)]
        await sealed.seal()  # which goes on with the others
    assert said.sealed == ROWS + 1


async def test_a_chain_that_was_written_anew_is_found_by_a_hash_that_was_noted(sealed: Logbook) -> None:
    head = (await sealed.verify()).head
    assert head is not None
    await sealed.write(3)
    await sealed.seal()
    grown = await sealed.verify(head.hash.hex())
    assert (grown.whole, grown.expected_at) == (True, ROWS)
    await sealed.damage(
        "UPDATE audit SET actor = 'somebody else' WHERE id = 5; TRUNCATE audit_seals;"
        " INSERT INTO audit_unsealed SELECT id FROM audit"
    )
    await sealed.seal()
    assert (await sealed.verify()).whole, "by itself it cannot tell"
    assert not (await sealed.verify(head.hash.hex())).whole


async def test_how_much_waits_and_for_how_long_is_counted(log: Logbook) -> None:
    await log.write(4)
    await gauges.step(log.plane, utcnow())
    assert gauges._UNSEALED._value.get() == 4
    assert gauges._SEAL_LAG._value.get() > 0
    await log.seal()
    await gauges.step(log.plane, utcnow())
    assert (gauges._UNSEALED._value.get(), gauges._SEAL_LAG._value.get()) == (0, 0)


def verified(log: Logbook, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "SEEDLIFT_WORK_DATABASE_URL": log.url}
    return subprocess.run(
        [sys.executable, "-m", "cli", "audit", "verify", *arguments], env=environ, capture_output=True, text=True
    )


async def test_the_command_says_what_it_found_and_ends_accordingly(sealed: Logbook) -> None:
    good = await asyncio.to_thread(verified, sealed)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.endswith("the log is whole\n")
    head = next(line.split()[1] for line in good.stdout.splitlines() if line.startswith("head"))
    assert (await asyncio.to_thread(verified, sealed, "--expect", "nonsense")).returncode == 2
    await sealed.damage("DELETE FROM audit WHERE id = 3")
    broken = await asyncio.to_thread(verified, sealed, "--expect", head)
    assert broken.returncode == 1
    assert f"expected  {head} is seal {ROWS}" in broken.stdout
    assert "first break: row_removed, seal 3 row 3: the row that was sealed is gone" in broken.stdout
