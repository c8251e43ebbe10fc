"""The mathematics: networks, solvers, schedules, samplers; readable without the harness."""
