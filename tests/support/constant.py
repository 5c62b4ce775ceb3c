"""`python -m tests.support.constant PORT`: Litestar, served as the public listener is, that answers a constant."""

import sys

import uvicorn
from litestar import Litestar, get


@get("/", sync_to_thread=False)
def said() -> dict[str, str]:
    return {"said": "always the same"}


if __name__ == "__main__":
    app = Litestar([said], openapi_config=None, logging_config=None)
    uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", log_config=None, access_log=False)
