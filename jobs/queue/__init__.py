"""Who is next, and what fits where. Pure: no database, no clock, no backend.

    line.py      the order: priority, then who uses least, then age; limits per person
    machines.py  what is free where, the best fit, and room kept for the Run that is next
    planning.py  plan(): one pass over both
    quick.py     plan_quick(): short commands, outside of the line
    words.py     amounts and sentences for people

docs/admin/queue.md says in plain words how it decides.
"""

from jobs.queue.line import EPSILON, Need, Person, Resources
from jobs.queue.machines import Held, Room
from jobs.queue.planning import LEVELS, NEAR, Plan, Wait, behind, plan
from jobs.queue.quick import Memory, Places, QuickPlan, plan_quick
from jobs.queue.words import amount, size

__all__ = [
    "EPSILON",
    "LEVELS",
    "NEAR",
    "Held",
    "Memory",
    "Need",
    "Person",
    "Places",
    "Plan",
    "QuickPlan",
    "Resources",
    "Room",
    "Wait",
    "amount",
    "behind",
    "plan",
    "plan_quick",
    "size",
]
