"""Supervision: schedule, launch, observe, reconcile. The only caller of backends.

It lives in the backend worker, under a database lease. A timer makes a pass every second;
messages only make it sooner. Everything is decided from the database and the backend's own
word, so a process that dies at any point is continued by the next one.

    supervisor.py   the timer, the lease, the order of a pass
    scheduling.py   QUEUED -> STARTING
    launching.py    STARTING -> RUNNING, or back to the queue, or failed
    spec.py         a Run's row as a backend can start it
    cancelling.py   requested cancels, carried to the containers
    observing.py    what a backend says of a container -> where the Run is
    reconciling.py  database and engine agree again; strangers are swept
"""
