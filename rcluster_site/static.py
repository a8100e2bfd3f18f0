"""Static files under ASGI: ServeStatic, with Vite's hashed names kept by browsers for ever."""

from __future__ import annotations

from servestatic.middleware import ServeStaticMiddleware


class StaticFiles(ServeStaticMiddleware):  # type: ignore[misc] # it has no types
    """ServeStatic's middleware asks only Django's own manifest which names carry a hash."""

    def immutable_file_test(self, path: str, url: str) -> bool:
        return url.startswith("/static/assets/")
