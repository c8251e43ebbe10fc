"""From noise to images: one file per sampler, one signature.

A sampler is a function `(diffusion, x, grid, noise, *, clip, ...)`: it gets states x [B,C,H,W] at
level grid[0], visits the descending levels of the grid, and yields an `Estimate` before its first
network call and after each step. The last one belongs to level 0 and is the sample. What it takes
beyond `clip` are its options, keyword-only; a person writes them after its name: `ddim+eta=0.5`.

Nothing is imported here: what restores images depends on `ddpm` alone, and a new sampler leaves
the results of the others as they are.
"""
