"""What a stack's store really holds, asked with the control plane's own keys."""

import json
from collections.abc import Mapping

from minio import Minio

from tests.support.up import Up

BUCKET = "seedlift"


def credentials(stack: Up) -> tuple[str, str]:
    kept = json.loads((stack.data / "secrets" / "kept.json").read_bytes())
    return kept["store_access_key"], kept["store_secret_key"]


def client(stack: Up) -> Minio:
    access, secret = credentials(stack)
    host, port = stack.store
    return Minio(f"{host}:{port}", access_key=access, secret_key=secret, secure=False, region="us-east-1")


def keys(stack: Up) -> Mapping[str, int]:
    """Every object, with its size."""
    return {str(o.object_name): o.size or 0 for o in client(stack).list_objects(BUCKET, recursive=True)}


def open_uploads(stack: Up) -> list[str]:
    listed = client(stack)._list_multipart_uploads(BUCKET)
    return [upload.object_name for upload in listed.uploads]
