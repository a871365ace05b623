"""The OpenAPI document and the interactive docs, with no file from another server.

The document is OpenAPI 3.1, which Swagger UI supports from version 5 on.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

DOCUMENT: Final = "/openapi.json"
_FILES: Final = "/docs/files"


def serve(app: FastAPI) -> None:
    """Serve the page of the docs at /docs, with the files of the package fastapi-offline."""
    static = str(files("fastapi_offline") / "static")
    app.mount(_FILES, StaticFiles(directory=static), name="swagger-ui")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"..{DOCUMENT}",
            title=app.title,
            swagger_js_url=f"..{_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"..{_FILES}/swagger-ui.css",
            swagger_favicon_url=f"..{_FILES}/favicon.png",
        )
