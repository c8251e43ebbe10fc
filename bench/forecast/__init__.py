"""How long a run will take: the work of its cells, the pace of this machine, and their schedule.

`forecast` is for the run that is about to begin on this machine; `cost`, `scaling` and `simulation`
say what a run costs altogether, and what a cluster would make of it.
"""
