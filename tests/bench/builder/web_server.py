"""A process of its own: serves a folder on loopback, by sendfile. Arguments: port, folder."""

import sys

from aiohttp import web

app = web.Application()
app.router.add_static("/", sys.argv[2])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
