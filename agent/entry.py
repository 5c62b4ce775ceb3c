"""Into the engine: what it is told of a transfer, to find its metadata or to bring its content."""

from agent.disk import Disk
from agent.engine.api import Add, Engine, MetadataMismatch
from agent.running import Entered, Failed, InEngine
from agent.transfer import Transfer
from wire.failures import failure


def enter(held: Transfer, kind: InEngine, engine: Engine, disk: Disk) -> Entered | Failed:
    transfer, add = held.spec.transfer, _add(held, kind, engine, disk)
    try:
        engine.allow(held.spec.allow)
        engine.add(add)
    except MetadataMismatch as bad:
        return Failed(transfer, failure("metadata_mismatch", str(bad)))
    except RuntimeError as broken:  # what libtorrent raises
        return Failed(transfer, failure("engine_error", str(broken)))
    return Entered(transfer, kind)


def _add(held: Transfer, kind: InEngine, engine: Engine, disk: Disk) -> Add:
    spec, content = held.spec, kind is InEngine.CONTENT
    return Add(
        transfer=spec.transfer,
        folder=disk.data(spec.transfer),
        v1=spec.v1,
        v2=spec.v2,
        trackers=spec.trackers,
        web_seeds=spec.web_seeds,
        peers=[*map(_endpoint, spec.peers), *engine.known_peers(spec.transfer)],
        steering=held.steering,
        info=held.raw_info if content else None,
        layers=held.raw_layers,
        priorities=held.book.priorities(bounded=held.holes is not None) if content and held.book else (),
        sizes=[(file.index, file.size_bytes) for file in held.info.content] if content and held.info else (),
        gives=held.holes is None and spec.steer.gives,
        url=spec.url,
    )


def _endpoint(peer: str) -> tuple[str, int]:
    host, _, port = peer.rpartition(":")
    return host.strip("[]"), int(port)
