"""The one command behind ./rcluster: sets the portal up, runs it under a supervisor, tests it.

Needs only the locked Python environment; knows Django only through manage.py.
"""
