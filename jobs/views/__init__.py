"""Pages and their htmx fragments. Thin: rows through visible_to(), changes through services."""
