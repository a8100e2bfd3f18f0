"""The HTTP API, version 1: thin views over jobs.services and files."""
