"""How long a run will take: the work of its cells, the pace of this machine, and their schedule.

Only what takes long and can be told beforehand is counted: everything that calls networks. The rest
- classic filters, features, tables - is seconds in a run of minutes, and is not.
"""
